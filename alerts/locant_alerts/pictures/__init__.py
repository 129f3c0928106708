"""Pictures of a backtest: SVG in a page of its own, PNG where matplotlib is installed."""
