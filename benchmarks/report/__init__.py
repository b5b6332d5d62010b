"""Tables, figures and the page: pure functions of what the store holds."""
