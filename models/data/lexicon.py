"""Names of people, places, firms, products and machines.

Half of the names are real first names and surnames, the rest and all brands
are put together from syllables, so that a model cannot learn the list and has
to learn to copy.  The held-out split draws from names and syllables of its own.
"""
from grammar import HELD, before_later, split_list

FIRST = {
    "train": """Anna Maria Peter John Laura Tom Sarah David Julia Mark Emma Paul Nina Lucas Sofia Daniel
    Elena Martin Clara Oscar Ivan Petra Hugo Alice Bruno Carla Diego Eva Felix Grace Hana Igor Jana
    Karl Lena Miguel Nadia Omar Priya Quentin Rosa Stefan Tara Umar Vera Walter Yara Zoe Aaron Beth
    Chen Dora Erik Fatima George Helen Ines Jack Kate Leo Mia Noah Olga Pavel Rita Sam Theo Uma Victor
    Wendy Xavier Yusuf Zara Amir Bella Colin Dana Elias Fiona Gavin Heidi Isaac Joan Kevin Linda Marco
    Nora Owen Paula Ravi Simon Tina Vince Will Adele Boris Celia Dennis Edith Frank Gloria Henry Irene
    Jonas Kira Liam Molly Nathan Oliver Pia Rachel Sean Tessa Viola Akira Bianca Cedric Delia Ethan
    Farah Gita Hassan Iris Jorge Karin Luis Mona Niko Orla Pablo Ruth Sven Tilda Ulrich Valeria Wanda
    Yuki Zelda Arjun Brigitte Carlos Dmitri Esther Florian Greta Hiro Isla Javier Kamal Lydia Mateo
    Naomi Otto Petar Renata Samir Teresa Vikram Wilma Yasmin Alan Brenda Craig Donna Ed Faye Glen Hope
    Ian Joyce Keith Lois Max Nell Pam Ray Sue Ted Val Wes""".split(),
    "held": """Ingrid Mateus Leila Rupert Anouk Tobias Marisol Desmond Freya Khalid Ottilie Bogdan Simone
    Lorenzo Agnes Winston Cora Magnus Pilar Sanjay Thea Wolfgang Edwin Rowan Amara Jasper Livia Conrad
    Mei Ronan Ida Emil Salma Giles Noor Albert Vivian Kofi Hazel Stanley""".split(),
}
LAST = {
    "train": """Smith Lopez Miller Weber Rossi Novak Tanaka Brown Garcia Meyer Silva Kumar Olsen Martin
    Dubois Kowalski Ivanov Chen Khan Wilson Clark Young Hall Wright Green Baker Adams Nelson Carter
    Mitchell Roberts Turner Phillips Campbell Parker Evans Edwards Collins Stewart Morris Rogers Reed
    Cook Morgan Bell Murphy Bailey Rivera Cooper Cox Howard Ward Torres Peterson Gray Ramirez James
    Watson Brooks Kelly Sanders Price Bennett Wood Barnes Ross Henderson Coleman Jenkins Perry Powell
    Long Patterson Hughes Flores Butler Simmons Foster Gonzales Bryant Alexander Russell Griffin Diaz
    Hayes Schmidt Fischer Wagner Becker Hoffmann Koch Richter Klein Wolf Neumann Braun Zimmermann Hartmann
    Lange Krause Lehmann Ferrari Bianchi Romano Costa Greco Conti Moreau Laurent Girard Petit Fournier
    Janssen Visser Bakker Mulder Larsen Hansen Nilsson Berg Lindqvist Virtanen Korhonen Sato Suzuki Ito
    Yamamoto Park Kim Nguyen Tran Singh Patel Shah Gupta Mehta Okafor Mensah Diallo Haddad Aziz Rahman
    Santos Ferreira Almeida Oliveira Popov Petrov Sokolov Horvat Nagy Szabo Toth Dvorak Svoboda Murray
    Grant Quinn Doyle Byrne Walsh Nolan""".split(),
    "held": """Ashworth Castellano Brandt Eriksson Falk Goldberg Hollis Iqbal Jankowski Keller Lindholm Marchetti
    Nakamura Osborne Pritchard Quiroga Rasmussen Sheridan Thornton Underwood Vasquez Whitaker Yilmaz
    Zeller Abbott Blackwood Cordero Dahl Engel Farrow Hargreaves Kessler Lombardi Montero Novotny
    Pellegrini Sandoval Tveit Wexler Ziegler""".split(),
}
CITY = {
    "train": """Berlin Lisbon Boston Madrid Oslo Dublin Prague Vienna Denver Austin Toronto Sydney Leeds
    Porto Milan Turin Lyon Nantes Geneva Basel Munich Hamburg Cologne Bremen Leipzig Krakow Gdansk
    Warsaw Riga Vilnius Tallinn Helsinki Turku Bergen Malmo Aarhus Utrecht Ghent Antwerp Bristol York
    Cardiff Glasgow Cork Galway Seville Valencia Bilbao Naples Bologna Verona Zagreb Split Athens
    Sofia Brno Graz Linz Chicago Dallas Houston Seattle Portland Phoenix Tampa Atlanta Memphis Omaha
    Tucson Fresno Oakland Mesa Tulsa Nairobi Accra Lagos Cairo Tunis Dakar Mumbai Pune Delhi Chennai
    Manila Hanoi Osaka Kyoto Nagoya Perth Adelaide Auckland Lima Quito Bogota Santiago Cordoba
    Millbrook Oakfield Riverton Westbury Northam Eastvale Stonebridge Ashford Greenhill Lakeside""".split(),
    "held": """Salzburg Rotterdam Stavanger Marseille Granada Trieste Ljubljana Poznan Uppsala Tampere
    Edmonton Savannah Tacoma Kigali Jaipur Fukuoka Hobart Montevideo Kingsport Marlow Elmstead
    Brightwater Foxdale Harrowgate""".split(),
}
SYLLABLE = {
    "train": ("""ac al an ar bel bor bra cal cor dan del dor el en far fen gal gar hal hel in jo ka kel
    lan lor lu ma mer mi nel no or pal per qui ra rin ro sal sol ta tel tor ul va ven vi wes xan yor za
    zen zi""".split(),
              """a on is ex ia or ix us en o ara ino ent ora eta ium ello ero ana eon ista ovo""".split()),
    "held": ("""ab ban cas dri eth fro gri hol ish jar kri lum mon nor pru ros ste tri vok wol zar
    bex cly dun""".split(),
             """ak um ita ond ula ers alo ine omi ast""".split()),
}
FIRM_KIND = ["Ltd", "Inc", "Group", "Systems", "Foods", "Logistics", "Bank", "Energy", "Labs", "Media",
             "Motors", "Health", "Partners", "Studios", "Software", "Retail", "Textiles", "Airlines"]
ROLES = ["manager", "engineer", "analyst", "director", "coordinator", "assistant", "planner", "consultant"]

# Things sold, by category.  The last of every five is held out (see grammar).
THINGS = {
    "kitchen": "kettle|toaster|blender|coffee machine|rice cooker|frying pan|food processor|knife set|juicer|microwave|hand mixer|slow cooker|stand mixer|bread maker|waffle iron",
    "audio": "headphones|earbuds|speaker|soundbar|headset|record player|microphone|radio|amplifier|studio monitors",
    "clothing": "jacket|sneakers|boots|sweater|jeans|raincoat|running shoes|dress|scarf|cardigan|hiking shoes|t-shirt|gloves|coat|sandals",
    "furniture": "desk|office chair|bookshelf|sofa|wardrobe|bed frame|dining table|armchair|mattress|nightstand",
    "electronics": "laptop|tablet|phone|monitor|keyboard|mouse|router|printer|camera|projector|smart watch|charger|power bank|webcam|e-reader",
    "toys": "puzzle|board game|toy train|doll house|building set|plush bear|toy robot|kite|card game|marble run",
    "food": "coffee beans|green tea|dark chocolate|olive oil|granola|honey|pasta|cookies|protein bars|spice mix",
    "garden": "lawn mower|garden hose|hedge trimmer|patio set|flower pots|parasol|wheelbarrow|leaf blower|grill|sprinkler",
    "pets": "dog bed|cat tree|dog leash|fish tank|cat food|bird cage|dog food|litter box|pet carrier|chew toys",
    "beauty": "shampoo|face cream|lipstick|hair dryer|perfume|sunscreen|nail polish|shaving kit|body lotion|hair brush",
    "sports": "yoga mat|tennis racket|bicycle|tent|backpack|dumbbells|treadmill|football|sleeping bag|helmet",
    "books": "cookbook|crime novel|travel guide|biography|history book|poetry collection|grammar book|comic|fantasy novel|dictionary",
    "baby": "stroller|baby monitor|car seat|high chair|baby bottles|crib|changing table|bottle warmer|play mat|baby carrier",
    "tools": "drill|ladder|screwdriver set|circular saw|toolbox|paint roller|sander|wrench set|workbench|tape measure",
    "lighting": "desk lamp|floor lamp|string lights|ceiling light|night light|lantern|bedside lamp|LED strip|flashlight|chandelier",
    "luggage": "suitcase|travel bag|handbag|wallet|laptop sleeve|duffel bag|belt|umbrella|briefcase|trolley",
}
for _c, _t in THINGS.items():
    THINGS[_c] = _t.split("|")

MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September",
          "October", "November", "December"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


# Tokens of the vocabulary that are letters: those that may begin a name, and others.
# Empty until there is one.
FIRST_PIECES, PIECES = [], []


def use_vocabulary(tokens):
    """Names are made of these tokens, each as often as others: some are in hardly any word, and have to be copied all the same."""
    PIECES[:] = sorted({t for t in tokens if len(t) > 1 and t.isascii() and t.isalpha() and t.islower()})
    FIRST_PIECES[:] = sorted({t for t in tokens if t.isascii() and t.isalpha() and t[0].isupper()} | set(PIECES))


def invented(rng):
    """A word that nobody has seen, of any letters or tokens: to be copied, not known."""
    if PIECES and rng.random() < 0.6:
        return "".join([rng.choice(FIRST_PIECES).capitalize()] + [rng.choice(PIECES) for _ in range(rng.choice([0, 1, 1, 2]))])
    onsets = ["b", "bl", "br", "c", "ch", "cl", "cr", "d", "dr", "f", "fl", "g", "gl", "gr", "h", "j", "k", "kr", "l", "m", "n", "p", "ph", "pl",
              "pr", "qu", "r", "s", "sc", "sh", "sk", "sl", "sm", "sn", "sp", "st", "str", "t", "th", "tr", "v", "w", "wh", "x", "y", "z", ""]
    vowels = ["a", "e", "i", "o", "u", "a", "e", "i", "o", "ai", "au", "ea", "ee", "ei", "ia", "ie", "oa", "oo", "ou", "y"]
    codas = ["", "", "", "b", "ck", "d", "ff", "g", "l", "ll", "m", "n", "nd", "ng", "nt", "p", "r", "rd", "rk", "rn", "s", "sh", "ss", "st", "t", "th", "tz", "x"]
    return "".join(rng.choice(onsets) + rng.choice(vowels) + rng.choice(codas) for _ in range(rng.choice([1, 2, 2, 3]))).capitalize()


def syllables(rng, split):
    if split != HELD and rng.random() < 0.6:
        return invented(rng)
    heads, tails = SYLLABLE[split]
    n = 1 if rng.random() < 0.6 else 2
    return ("".join(rng.choice(heads) for _ in range(n)) + rng.choice(tails)).capitalize()


def first_name(rng, split):
    if split != HELD and rng.random() < 0.4:
        return syllables(rng, split)
    return rng.choice(FIRST[split])


def last_name(rng, split):
    if rng.random() < (0.2 if split == HELD else 0.5):
        return syllables(rng, split) + rng.choice(["", "", "s", "man", "ez", "sen", "ski", "er"])
    return rng.choice(LAST[split])


def city(rng, split):
    if rng.random() < (0.25 if split == HELD else 0.5):
        return syllables(rng, split) + rng.choice(["ville", "ton", "burg", "", "field", " Bay", " Falls"])
    return rng.choice(CITY[split])


def brand(rng, split):
    return syllables(rng, split)


def company(rng, split):
    name = syllables(rng, split)
    r = rng.random()
    if r < 0.2:
        return name
    if r < 0.35:
        return last_name(rng, split) + " " + rng.choice(["& Sons", "Brothers", "Group", "Partners"])
    return name + " " + rng.choice(FIRM_KIND)


def number(rng, digits):
    return str(rng.randrange(10 ** (digits - 1), 10 ** digits))


def order_number(rng):
    r = rng.random()
    if r < 0.35:
        return number(rng, rng.choice([4, 5, 5, 6, 6, 7, 8]))
    if r < 0.6:
        return rng.choice(["A", "B", "C", "K", "M", "R", "T", "X", "SO", "PO", "ORD", "WEB"]) + "-" + number(rng, rng.choice([4, 5, 6]))
    if r < 0.8:
        return rng.choice("ABCDEFGHKLMNPRSTWXZ") + rng.choice("ABCDEFGHKLMNPRSTWXZ") + number(rng, rng.choice([3, 4, 5]))
    return number(rng, rng.choice([2, 3])) + "-" + number(rng, rng.choice([3, 4, 5]))


def date(rng):
    """A date as people write it; short forms without year more often."""
    d, m, y = rng.randrange(1, 29), rng.randrange(12), rng.randrange(2019, 2028)
    r = rng.random()
    if r < 0.25:
        return "%d %s" % (d, MONTHS[m])
    if r < 0.45:
        return "%s %d" % (MONTHS[m], d)
    if r < 0.6:
        return "%d %s %d" % (d, MONTHS[m], y)
    if r < 0.75:
        return "%d-%02d-%02d" % (y, m + 1, d)
    if r < 0.85:
        return "%02d/%02d/%d" % (m + 1, d, y)
    if r < 0.95:
        return "%s %d, %d" % (MONTHS[m], d, y)
    return "%02d.%02d.%d" % (d, m + 1, y)


def amount(rng):
    v = rng.choice([rng.randrange(5, 100), rng.randrange(10, 500), rng.randrange(100, 3000)])
    cents = rng.choice(["", "", ".99", ".50", ".%02d" % rng.randrange(100)])
    r = rng.random()
    if r < 0.5:
        return "$%d%s" % (v, cents)
    if r < 0.75:
        return "%d%s euros" % (v, cents)
    if r < 0.9:
        return "%d%s EUR" % (v, cents)
    return "%d dollars" % v


def clock(rng):
    r = rng.random()
    if r < 0.7:
        return "%02d:%02d" % (rng.randrange(24), rng.randrange(60))
    return "%d %s" % (rng.randrange(1, 12), rng.choice(["am", "pm"]))


def host(rng, split):
    base = rng.choice(["db", "web", "app", "cache", "mail", "api", "node", "auth", "files", "queue", "proxy", "build"])
    r = rng.random()
    if r < 0.5:
        return "%s-%02d" % (base, rng.randrange(1, 40))
    if r < 0.8:
        return "%s%d.%s" % (base, rng.randrange(1, 20), syllables(rng, split).lower())
    return "%s-%s" % (syllables(rng, split).lower(), base)


def service(rng, split):
    r = rng.random()
    if r < 0.6:
        kinds = ["payments", "checkout", "search", "billing", "login", "reporting", "inventory", "booking",
                 "messaging", "catalog", "profile", "shipping", "orders", "media", "analytics"]
        kinds = kinds[:12] if split != HELD else kinds[12:]
        return rng.choice(kinds) + rng.choice([" service", " API", " backend", " cluster"])
    return syllables(rng, split) + rng.choice([" service", " API", " gateway", " portal"])


def version(rng):
    return "%d.%d" % (rng.randrange(1, 20), rng.randrange(20)) + rng.choice(["", ".%d" % rng.randrange(10)])


def product(rng, split, category=None):
    if category is None:
        category = rng.choice(list(THINGS))
    part = split_list(THINGS[category], split)
    if split == HELD and rng.random() < 0.25:
        part = before_later(THINGS[category])
    thing = rng.choice(part)
    if split != HELD and rng.random() < 0.15:
        thing = invented(rng).lower() + rng.choice(["", " " + thing.split()[-1]])
    r = rng.random()
    if r < 0.4:
        return thing
    if r < 0.75:
        return brand(rng, split) + " " + thing
    if r < 0.9:
        return brand(rng, split) + " " + rng.choice("ABCEGKMPQRSTVXZ") + str(rng.randrange(2, 900)) + " " + thing
    return rng.choice(["black", "white", "red", "blue", "green", "grey", "silver", "large", "small", "wooden"]) + " " + thing


def entities(rng, split, category=None):
    """Values for every slot that a template may name."""
    f, l = first_name(rng, split), last_name(rng, split)
    f2, l2 = first_name(rng, split), last_name(rng, split)
    f3, l3 = first_name(rng, split), last_name(rng, split)
    return {
        "first": f, "last": l, "who": f + " " + l,
        "person2": f2 + " " + l2, "first2": f2, "person3": f3 + " " + l3, "first3": f3,
        "city": city(rng, split), "city2": city(rng, split),
        "company": company(rng, split), "company2": company(rng, split),
        "product": product(rng, split, category),
        "product2": product(rng, split, category),
        "order": order_number(rng), "ticket": number(rng, rng.choice([4, 5, 6])),
        "invoice": rng.choice(["INV-", "R", "2024-", ""]) + number(rng, rng.choice([4, 5, 6])),
        "date": date(rng), "date2": date(rng), "day": rng.choice(DAYS), "month": rng.choice(MONTHS),
        "amount": amount(rng), "amount2": amount(rng),
        "time": clock(rng), "time2": clock(rng),
        "n": str(rng.randrange(2, 13)), "n2": str(rng.randrange(2, 60)), "big": str(rng.randrange(12, 990) * 10),
        "pct": str(rng.randrange(2, 99)),
        "year": str(rng.randrange(1880, 2024)),
        "host": host(rng, split), "host2": host(rng, split), "service": service(rng, split),
        "version": version(rng), "version2": version(rng),
        "team": rng.choice(["sales", "marketing", "finance", "platform", "design", "support", "legal",
                            "data", "mobile", "operations", "research", "hiring"]) + " team",
        "role": rng.choice(ROLES),
        "phone": "%03d-%04d" % (rng.randrange(200, 999), rng.randrange(10000)),
        "mail": f.lower() + rng.choice([".", "_", ""]) + l.lower() + "@" + syllables(rng, split).lower() + rng.choice([".com", ".org", ".net"]),
        "code": number(rng, 3),
    }
