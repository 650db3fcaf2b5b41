"""Applied flakes: generated, kept in git, evaluated. What an agent wrote is hostile input here."""
