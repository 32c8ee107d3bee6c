"""Two-word names for people whose own must not be published: a colour and an animal, none of which describes a person."""

from collections.abc import Iterator


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


COLOURS = _words(
    "Almond Amber Apricot Aqua Azure Beige Bronze Cedar Cerise Cherry Cinnamon Clay Cobalt Copper Coral Cream Crimson Cyan"
    " Ebony Emerald Fawn Fern Flax Fuchsia Garnet Ginger Golden Granite Green Hazel Honey Indigo Ivory Jade Jasmine Khaki"
    " Lavender Lemon Lilac Lime Magenta Mahogany Maroon Mauve Mint Mustard Ochre Olive Opal Orange Orchid Pearl Plum Purple"
    " Quartz Ruby Russet Saffron Sapphire Scarlet Sienna Silver Teal Violet"
)

ANIMALS = _words(
    "Albatross Alpaca Antelope Badger Beaver Bison Bittern Bobcat Buffalo Camel Caribou Cheetah Chipmunk Condor Cormorant Crane"
    " Curlew Dolphin Dormouse Eagle Egret Falcon Ferret Finch Flamingo Gazelle Gecko Goldfinch Hare Hedgehog Heron Hoopoe Ibex"
    " Ibis Iguana Jaguar Kestrel Kingfisher Koala Lapwing Lemur Leopard Linnet Lynx Magpie Marmot Marten Meerkat Merlin Mongoose"
    " Nightingale Ocelot Oriole Osprey Otter Panther Pelican Plover Puffin Quail Robin Salamander Seal Swift"
)


def names(seed: int) -> Iterator[str]:
    """Every name once, starting with the one that the seed selects."""
    count = len(COLOURS) * len(ANIMALS)
    for index in range(seed, seed + count):
        colour, animal = divmod(index % count, len(ANIMALS))
        yield f"{COLOURS[colour]} {ANIMALS[animal]}"
