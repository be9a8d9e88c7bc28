"""Where client networks are, by a database that the operator gives."""
