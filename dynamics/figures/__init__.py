"""Figures: functions of results that return a Matplotlib figure. One style file, Okabe-Ito colours."""
