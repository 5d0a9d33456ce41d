"""The life of a trained model: raw, validated, production; nothing lost, nothing changed."""
