"""The explorer without a notebook: it starts, shows a picture, turns, and stops."""

import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from base64 import b64decode

import pytest

from dynamics import load_example
from dynamics.interface.cli import main
from dynamics.interface.explorer_page import explorer_page, server_of
from dynamics.prediction.scenes import scene

PICTURE = re.compile(r'src="data:image/png;base64,([^"]+)"')


def fetched(address: str, **headers: str) -> str:
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=20) as answer:
        return answer.read().decode()


def picture(page: str) -> bytes:
    (found,) = PICTURE.findall(page)
    return b64decode(found)


@pytest.fixture
def address():
    server, address = server_of(explorer_page())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield address
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_command_shows_a_picture_and_ctrl_c_ends_it(tmp_path) -> None:
    (tmp_path / "data.csv").write_text("a,b,c,y\n" + "".join(f"{i},{i % 3},{i % 5},{i % 7}\n" for i in range(30)))
    command = [sys.executable, "-m", "dynamics", "explore", str(tmp_path / "data.csv"), "--no-browser"]
    command += ["--modality", "image=a,b", "--modality", "text=c"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has jobs in the background ignore it
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        address = run.stdout.readline().split()[0]
        page = fetched(address)
        assert picture(page).startswith(b"\x89PNG")
        assert 'name="scale text"' in page
        run.send_signal(signal.SIGINT)
        assert run.communicate(timeout=20) == ("", "")
    finally:
        signal.signal(signal.SIGINT, before)
        run.kill()
        run.communicate()
    assert run.returncode == 0


def test_a_knob_turns_the_picture(address: str) -> None:
    first = picture(fetched(address))
    assert first.startswith(b"\x89PNG")
    turned = fetched(f"{address}scene?rho=-0.9&sigma_ratio=0.18&u0=-3")
    assert picture(turned) != first
    assert "u0 is too large" in fetched(f"{address}scene?u0=-0.3&w_a=0.1")
    page = fetched(f"{address}?depth=4&fusion_depth=3")
    assert 'name="fusion_depth" min="1" max="4" step="1" value="3"' in page


def test_what_is_no_page_or_no_number_is_refused(address: str) -> None:
    for asked, status, words in (("etc/passwd", 404, "no such page"), ("?rho=loud", 400, "rho must be a number")):
        with pytest.raises(urllib.error.HTTPError) as found:
            fetched(address + asked)
        assert found.value.code == status
        assert words in found.value.read().decode()
        found.value.close()
    with pytest.raises(urllib.error.HTTPError) as found:
        fetched(address, Host="elsewhere.example:80")
    assert found.value.code == 403
    found.value.close()


def test_positions_are_values() -> None:
    page = explorer_page(depth=3, u0=1e-2)
    assert page.values({}) == {"rho": 0.5, "sigma_ratio": 2.0, "w_a": 1.0, "w_b": 1.0, "depth": 3} | {
        "fusion_depth": 2, "u0": 1e-2, "width": 100,
    }  # fmt: skip
    turned = page.values({"depth": "2", "fusion_depth": "3", "u0": "-4", "rho": "9", "width": "20"})
    assert turned["fusion_depth"] == 2
    assert turned["u0"] == pytest.approx(1e-4)
    assert (turned["rho"], turned["width"]) == (0.98, 20)
    assert scene(**turned).network.depths == {"A": 2, "B": 2}


def test_data_are_scaled_a_modality_at_a_time() -> None:
    page = explorer_page(load_example("diabetes"))
    now = page.look(page.values({"scale serum": "-0.5"}))
    assert now.aligned.order == ("body", "serum")
    assert page.look(page.values({})).aligned.order == ("serum", "body")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--port", "70000"], "--port must be in 0 to 65535"),
        (["--depth", "9"], "depth must be in 2 to 6"),
        (["--fusion-depth", "3"], "fusion_depth must be in 1 to 2"),
        (["--u0", "nan"], "u0 must be in"),
        (["--branch", "A=2"], "--branch goes with predict"),
        (["--target", "y"], "--target goes with a DATA file"),
        (["missing.csv", "--modality", "A=a"], "missing.csv"),
        (["--example", "nothing"], "nothing"),
    ],
)
def test_bad_input_is_one_line(words: list[str], why: str, capsys) -> None:
    assert main(["explore", "--no-browser", *words]) == 2
    told = capsys.readouterr().err
    assert why in told
    assert told.count("\n") == 1


def test_a_port_that_is_taken_is_told(address: str, capsys) -> None:
    port = address.rstrip("/").rpartition(":")[2]
    assert main(["explore", "--no-browser", "--port", port]) == 2
    assert f"port {port} cannot be had" in capsys.readouterr().err
