"""The commands, by what they are about: the spec, the agent, a model. Each loads what it needs when it is called."""
