"""Second stage without a particular model: examples, the scorer interface, signals and their fusion."""
