"""Records of experiments, and protected images kept between cells."""
