"""Heads that leave the house: the collector has them cosigned, and a party's own witness watches and cosigns."""
