"""The reading wing: from the store's runs to tables, estimates and verdicts. Works without torch."""
