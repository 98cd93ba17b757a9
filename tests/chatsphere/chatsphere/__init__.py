"""The analytics code of the ChatSphere deployment, written anew around its statements."""
