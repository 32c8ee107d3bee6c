"""What the parts of the bot cost, measured in one run with comparable software and the least that is possible."""
