"""The process: settings, wiring, scheduler, signals, systemd, logs."""
