"""Several runs trained by one program, and tables of them."""
