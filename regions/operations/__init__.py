"""Operations: what operators do to a running fleet, planned, recorded, followed and aborted."""
