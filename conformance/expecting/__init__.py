"""What a case must give: the walk through its steps, exact values and their bounds."""
