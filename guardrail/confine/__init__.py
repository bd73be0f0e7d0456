"""Run it, no wider: the kernel holds a call to the effects that it was judged by."""
