"""What `pushforward new` starts a model or a target from: files that work as they are."""
