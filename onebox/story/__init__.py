"""The story: 江南慢食部落 played through the public REST API, printed as a timeline with the money at each step."""
