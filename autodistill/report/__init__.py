"""One page about past runs, that needs nothing but itself."""
