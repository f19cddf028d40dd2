"""How often release rules are right: this gate's and four others'."""
