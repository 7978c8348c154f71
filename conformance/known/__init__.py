"""What is accepted, why and until when: the entries, as TOML, and the code that matches them."""
