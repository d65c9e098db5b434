"""What is drawn of a generator once it is trained."""
