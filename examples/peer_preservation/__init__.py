"""What the study's models did to a peer, replayed by a real LangGraph agent with the guard off and on."""
