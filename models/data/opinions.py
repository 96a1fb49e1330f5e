"""What reviews say: verdicts and single aspects, good, bad and neither."""
from ontology import load_opinions

# VERDICT[mood]: wordings.  ASPECTS[name]: names for it, then good, bad and plain remarks.
# REVIEW_WANTS[mood]: what is wanted in canonical form, and wordings.
VERDICT, ASPECTS, REVIEW_WANTS = load_opinions()
CATEGORY_LABELS = {
    "kitchen": ["kitchen", "kitchen appliances", "cooking", "kitchenware", "cooking and kitchen", "cookware", "kitchen gadgets", "kitchen equipment",
        "cooking appliances", "kitchen utensils", "kitchen machines"],
    "audio": ["audio", "sound equipment", "hi-fi", "audio devices", "sound and audio", "headphones and speakers", "audio equipment", "hi-fi and sound",
        "audio gear", "music equipment", "sound devices"],
    "clothing": ["clothing", "clothes and shoes", "fashion", "apparel", "fashion and clothes", "clothes", "garments", "wardrobe and shoes",
        "clothing and footwear", "things to wear", "outfits"],
    "furniture": ["furniture", "home furniture", "furnishing", "tables and chairs", "furniture for the home", "furnishings", "household furniture",
        "beds and sofas", "home furnishing", "furniture pieces", "seats and beds"],
    "electronics": ["electronics", "computers and phones", "electronic devices", "computer hardware", "consumer electronics", "gadgets", "electronic goods",
        "digital devices", "tech products", "computers", "computing and phones"],
    "toys": ["toys", "toys and games", "games", "playthings", "games and toys", "children's toys", "toy shop", "play and games", "games and puzzles",
        "toy", "fun and games"],
    "food": ["food", "groceries", "food and drinks", "things to eat", "drinks and food", "foodstuffs", "grocery", "edibles", "eating and drinking",
        "food products", "snacks and drinks"],
    "garden": ["garden", "gardening", "garden tools", "outdoor and garden", "garden and outdoor", "garden equipment", "yard and garden",
        "gardening supplies", "lawn and garden", "garden supplies", "backyard"],
    "pets": ["pets", "pet supplies", "animal needs", "cats and dogs", "supplies for pets", "pet products", "pet care", "animal supplies", "pet shop",
        "pet accessories", "household animals"],
    "beauty": ["beauty", "cosmetics", "personal care", "skin and hair", "beauty and care", "beauty products", "skincare and makeup", "body care",
        "hair and beauty", "cosmetic products", "grooming"],
    "sports": ["sports gear", "sports and outdoors", "fitness", "sport equipment", "fitness and sports", "sporting goods", "sports equipment",
        "exercise and fitness", "sport", "fitness gear", "sports and camping"],
    "books": ["books", "reading", "literature", "book shop", "books and reading", "reading matter", "printed books", "novels and guides", "bookstore",
        "books and comics", "reading material"],
    "baby": ["baby", "baby products", "infants", "child care", "products for babies", "baby gear", "infant products", "babies and toddlers", "nursery",
        "baby care", "baby equipment"],
    "tools": ["tools", "power tools", "hand tools", "do-it-yourself", "tools for the workshop", "hardware tools", "workshop tools", "DIY",
        "home improvement tools", "craftsman's tools", "tools and workshop"],
    "lighting": ["lighting", "lamps", "lights", "lamps and lights", "lights and lamps", "lamps and lanterns", "light fixtures", "illumination",
        "lighting products", "home lighting", "light sources"],
    "luggage": ["luggage", "bags", "bags and luggage", "travel bags", "luggage and bags", "suitcases", "suitcases and bags", "bags and cases",
        "travel luggage", "luggage and cases", "travel accessories"]}
# Categories and aspects that a thing or a remark may fit as well
CLOSE_CATEGORIES = [("sports", "luggage"), ("sports", "clothing"), ("sports", "garden"), ("sports", "toys"), ("furniture", "baby"), ("furniture", "garden"),
                    ("furniture", "lighting"), ("food", "baby"), ("food", "pets"), ("clothing", "baby"), ("clothing", "luggage"), ("electronics", "audio"),
                    ("electronics", "toys"), ("electronics", "luggage"), ("electronics", "kitchen"), ("tools", "lighting"), ("tools", "garden"),
                    ("toys", "baby"), ("toys", "pets"), ("toys", "books"), ("beauty", "baby"), ("lighting", "garden"), ("kitchen", "garden")]
CLOSE_ASPECTS = [("comfort", "ease"), ("shipping", "service"), ("look", "quality")]
USES = ["I use it [every day|twice a week|at work]", "I bought it for my [mother|son|office]", "it was a present", "I have had it for {n} [weeks|months]",
        "my old one was {n} years old", "ordered it in {month}", "it replaced an old {product2}", "I got it on {date}", "we have two of them",
        "it has a place next to the door", "my neighbour has the same one", "I compared {n} models before", "I live in {city}", "bought online",
        "this is my first {thing}", "I read {n2} reviews before"]
