"""Labels of simple generators written for this training. They are no family's:
they fill in the forms that algorithms draw from (alphabets, lengths, patterns),
so that the trees do not take a form for benign because no family of the training
has it. They are trained on with a small weight and never measured on."""

import random

LETTERS, DIGITS, VOWELS = "abcdefghijklmnopqrstuvwxyz", "0123456789", "aeiou"
CONSONANTS = "".join(c for c in LETTERS if c not in VOWELS)


def generators(r):
    def draw(alphabet, n):
        return "".join(r.choice(alphabet) for _ in range(n))

    def some_letters():
        return draw(r.sample(LETTERS, r.randint(8, 20)), r.randint(8, 28))

    def neighbouring_letters():
        first = r.randint(0, 13)
        return draw(LETTERS[first:first + r.randint(10, 26)], r.randint(8, 28))

    def few_digits():
        share = r.uniform(0.05, 0.3)
        return "".join(r.choice(DIGITS) if r.random() < share else r.choice(LETTERS) for _ in range(r.randint(8, 24)))

    def pairs():
        return "".join(r.choice(CONSONANTS) + r.choice(VOWELS) for _ in range(r.randint(4, 9)))

    def syllables():
        label, length = "", r.randint(8, 20)
        while len(label) < length:
            label += r.choice(CONSONANTS) + r.choice(VOWELS) + (r.choice(CONSONANTS) if r.random() < 0.4 else "")
        return label

    def arithmetic():
        """A date through a linear congruential generator, as many families do it."""
        x = r.randint(2005, 2030) * 10_000 + r.randint(1, 12) * 100 + r.randint(1, 28) + r.randint(0, 999)
        label = ""
        for _ in range(r.randint(8, 26)):
            x = (x * 1103515245 + 12345) % 2**31
            label += LETTERS[(x >> 16) % 25]
        return label

    return {
        "letters": lambda: draw(LETTERS, r.randint(7, 32)),
        "short letters": lambda: draw(LETTERS, r.randint(6, 12)),
        "some letters": some_letters,
        "neighbouring letters": neighbouring_letters,
        "consonants": lambda: draw(CONSONANTS, r.randint(7, 20)),
        "hexadecimal": lambda: draw(DIGITS + "abcdef", r.choice([8, 10, 12, 13, 16, 20, 24, 32, 40, r.randint(8, 40)])),
        "base 36": lambda: draw(LETTERS + DIGITS, r.randint(8, 40)),
        "base 32": lambda: draw(LETTERS + "234567", r.choice([13, 16, 26, 32, r.randint(10, 40)])),
        "few digits": few_digits,
        "digits at the end": lambda: draw(LETTERS, r.randint(6, 14)) + draw(DIGITS, r.randint(1, 4)),
        "pairs": pairs,
        "syllables": syllables,
        "date arithmetic": arithmetic,
    }


def labels(each, seed):
    """each labels of every generator."""
    r = random.Random(seed)
    return [make() for make in generators(r).values() for _ in range(each)]


def edited(label, r):
    """A label with two letters changed, as CharBot does it."""
    out = list(label)
    for at in r.sample(range(len(out)), 2):
        out[at] = r.choice([c for c in LETTERS if c != out[at]])
    return "".join(out)
