import sys

from dynamics.interface.cli import main

sys.exit(main())
