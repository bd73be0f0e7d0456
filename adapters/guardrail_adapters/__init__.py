"""Where the guard attaches: one module a framework, each an extra of the same name."""
