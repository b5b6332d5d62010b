"""Whatever comes in: success, or one clear line, and nothing half done."""
