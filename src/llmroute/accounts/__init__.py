"""Who may what: keys, teams, limits and budgets."""
