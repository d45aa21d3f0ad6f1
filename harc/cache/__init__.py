"""Results trees kept elsewhere: pushed to and pulled from any DVC remote, and taken by the workflow as they are."""
