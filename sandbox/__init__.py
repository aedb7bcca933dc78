"""The sandbox payment provider: the outside world, in a process of its own. Start reading at `app.py`."""
