"""What must outlive a broker: one small interface, and what implements it."""
