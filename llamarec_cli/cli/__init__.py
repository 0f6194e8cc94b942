"""The command line: parse, call one function of the pipeline, show its result."""
