"""What services do with a carrier: their pipelines, with WebP, and their networks."""
