"""`tmqtt top`: a broker as its $SYS topics tell it, live."""
