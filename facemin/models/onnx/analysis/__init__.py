"""Static analysis of graphs: shapes, costs and the batch axis."""
