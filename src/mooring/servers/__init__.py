"""The doors: decode, call one service method, encode."""
