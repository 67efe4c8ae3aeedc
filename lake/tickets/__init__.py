"""What support tickets are about: by rules, or by a language model that is never told who asks."""
