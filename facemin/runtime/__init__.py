"""Runtime support: the data folder, durable files and the choice of device."""
