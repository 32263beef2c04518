"""`tmqtt replay`: publish messages again that `sub --record` has written."""
