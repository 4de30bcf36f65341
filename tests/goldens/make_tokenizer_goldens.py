"""Writes tokenizer_{llama3,qwen2,gpt2}/, tokenizer_cases.json and tokenizer_lacking_bytes.json with the
Hugging Face tokenizers.

Three small vocabularies are trained on tokenizer_corpus.txt, one for each way of splitting words, and
a list of unusual texts is encoded with each. Needs: tokenizers 0.23.3.

    python tests/goldens/make_tokenizer_goldens.py
"""

import json
import random
from pathlib import Path

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)

HERE = Path(__file__).parent
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
RULES = {
    "llama3": dict(regex=LLAMA3, vocab=700, nfc=False,
                   special=["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>",
                            "<|end_header_id|>", "<|eot_id|>"],
                   bos="<|begin_of_text|>", eos="<|end_of_text|>", pad=None, add_bos=True),
    "qwen2": dict(regex=QWEN2, vocab=640, nfc=True,
                  special=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
                  bos=None, eos="<|im_end|>", pad="<|endoftext|>", add_bos=False),
    "gpt2": dict(regex=None, vocab=600, nfc=False, special=["<s>", "</s>"],
                 bos="<s>", eos="</s>", pad=None, add_bos=True),
}

CASES = [
    "", " ", "  ", "   ", "\n", "\r\n", "\r\n\r\n \n", "\t", "\t\t x", " \n", "\n ", "a", " a", "a ",
    "Hello, world!", "Hello  world", "Hello   world   ", "  leading", "trailing  ",
    "it's IT'S It'S we'll WE'LL they've THEY'VE I'm I'M you're YOU'RE he'd HE'D don't DON'T",
    "'s 'S 't 'll 'Ll 'lL 'x 'r 'v 'l ' '", "x\u2019s x'\u017f x'\u017fy 'S\u017f '\u017f",
    "'re're're", "a'b'c'd's't", "''s", "'s's", "I'", "I'l", "I'v ", "'RE'VE'LL",
    "1 12 123 1234 12345 123456 1234567 12345678901234567890", "1,234.567", "v2.0-rc1", "3.14abc42",
    "\u0661\u0662\u0663\u0664\u0665 \u2164\u2165 \u00bd\u00be\u00b2\u2460 \u3007",
    "\u4f60\u597d\uff0c\u4e16\u754c\uff01", "\u5728\u7ea2\u8272\u7684\u5706\u5f62",
    "\u30ab\u30bf\u30ab\u30ca\u3068\u3072\u3089\u304c\u306a\u3002", "\ud55c\uad6d\uc5b4 \uc6d0\uc740",
    "\u1112\u1161\u11ab\u1100\u1173\u11af", "\uac00\u11a8", "\u1100\u1161\u1161",
    "\u0627\u0644\u062f\u0627\u0626\u0631\u0629 \u0627\u0644\u062d\u0645\u0631\u0627\u0621",
    "\u0932\u093e\u0932 \u0935\u0943\u0924\u094d\u0924", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "\U0001f600", "\U0001f600\U0001f600 \U0001f44d\U0001f3fd",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f1e9\U0001f1ea\U0001f1eb",
    "e\u0301a\u0300o\u0302\u0323", "\u00e9", "q\u0323\u0307 q\u0307\u0323", "\u1e69 s\u0323\u0307",
    "a\u0313\u0301", "\u0301", "a\u0301\u0301\u0301", " \u0301x", "A\u030a \u212b \u00c5", "\u03a9 \u2126",
    "\ufb01 \ufb00 \u00df \u1e9e \u0130 \u0131", "\uf900 \U0002f800", "\u0958 \u0915\u093c",
    "\u0344 \u0f73 \u2adc \ufb1d", "a\u05b0\u0591\u0315\u0300b",
    "\x00", "a\x00b", "\x00\x00 \x01\x02\x7f", "\u0080\u0085\u009f", "a\u0085b", "a\u00a0b",
    "\u00a0\u00a0x", "\u2003\u2003x", "\u3000\u3000x", "x\u2028y\u2029z", "\u1680\u180e\u200b\ufeff",
    "\u001c\u001d\u001e\u001f", "\x0b\x0c", "a\x0bb \x0c c", "\ufffd", "\uffff\U0010ffff\ue000",
    "a\nb", "a\r\nb", "a \n b", "a\n\n\nb", "a \r\n \r\n b", "a\n \n  b", "x  \n\n  y", "end.\n\n",
    "end...\r\n\r\nNext", "!!!\n\n\n???", " !\n", "  !\n\n a", "a\t\tb", "a \tb", "\t \t \tb",
    "def f(x):\n\treturn x  # ok\n\n\n", "    four\n        eight\n", "if (a&&b||!c){d+=e;}",
    "http://a.b/c?d=e&f=%20#g", "user@mail.example", "C:\\path\\file.txt", "a_b__c", "--long-option=1",
    "<image>\nWhat is this?", "<s>text</s>", "a<s>b</s> <s>", "<|im_start|>user\nhi<|im_end|>\n",
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>",
    "<|eot_id", "<|eot_id|", "<|eot_id|>|>", "x  <mask>  y", "<mask><mask>", " <mask> ",
    "<word> a<word> <word>b _<word> .<word>.", "<strip>  \n x", "a<strip> <strip>b", "<ab><abc><abcd>",
    "caf\u00e9 tok cafe\u0301 tok", "zqx zqx", " zqx", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "abcabcabcabcabcabcabcabcabcabcabcabcabcabcabc", "ababababababababababababababababab",
    "\u0391\u03b8\u03ae\u03bd\u03b1 \u041c\u043e\u0441\u043a\u0432\u0430 \u05e9\u05dc\u05d5\u05dd",
    "\u01c5 \u02b0 \u00aa\u00ba \u2c7c \U0001d538\U0001d7d8 \u2169", "\u1c89 \ua7cb \U00010d40",
]
ALPHABET = ("aaabbcdsStTmMlLvVrReE'''    \n\n\r\t..,!?-_<>|01239\u017f\u00e9\u0301\u0323\u00a0\u3000\u4e2d"
            "\u6587\u1100\u1161\u11a8\uac00\U0001f600\u200d\u0661\u00bd\x00\u0085\u2028\u0915\u093c\u212b")


def random_texts(count):
    source = random.Random(20240517)
    return ["".join(source.choice(ALPHABET) for _ in range(source.randint(1, 24)))
            for _ in range(count)]


DIGITS = [{"type": "Digits", "individual_digits": True},
          {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]
# The steps of DeepSeek, with shorter lists of letters.
DEEPSEEK = [{"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False} for regex in (
    r"[\r\n]", "\\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u0391-\u03c9\u0430-\u044f]+",
    "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+", r"\s+$",
    "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", r"\p{N}{1,3}")] + [{**DIGITS[1], "use_regex": False}]
# Changes to tokenizer_gpt2/tokenizer.json: spellings of bytes to erase, fields of the model to set, and
# the members of the pre_tokenizer. "\u0101" spells the byte 1, "\u00ff" 255, "\u00f0" 240, "\u0109" the tab.
LACKING = {
    "drops": dict(erase="\u0101\u00ff\u00f0\u0109!", model={}, splits=None),
    "unknown": dict(erase="\u0101\u00f0\u0109!b", model={"unk_token": "</s>"}, splits=None),
    "fuses": dict(erase="\u0101\u00f0\u0109!b",
                  model={"unk_token": "</s>", "fuse_unk": True}, splits=None),
    "ignores": dict(erase="!b", model={"ignore_merges": True}, splits=None),
    "digits": dict(erase="\u0104\u0106", model={}, splits=DIGITS),
    "deepseek": dict(erase="\u0104", model={}, splits=DEEPSEEK),
    "digit_runs": dict(erase="", model={}, splits=[{**DIGITS[0], "individual_digits": False}, DIGITS[1]]),
}
LACKING_TEXTS = [
    "", "!", "!!", "a!b", "ab!!bb!a", "Hello, world!", "\x01", "x\x01y", "\x01\x01\t\t\x01", "a \t\t b",
    "\U0001f600!", "\U0001f600", "bbb bob abba", "The big ball is blue!\n", " !b", "b!b !b! b", "\u00ff \u00f0",
    "1 12 123 1234", "a1b22c333", "  12  34  ", "x 1", "x  1", "\u0661\u0662 \u00bd\u00b2x", "v2.0-rc1 3.14",
    "it's 5'9, I'm 42'll", "\n1\n\n22 \n", "a<s>1!</s> b",
    "  x   y  ", "   \n  \r\n \t", "caf\u00e9 \u041c\u043e\u0441 \u03b1\u03b2, \uff01\u3002 \u4f60\u597d\uff0c\ud55c\uad6d",
    "12345 1234567", "if (a&&b){c+=1;}  ", "\u0e2a\u0e27 \u0301x", " \t!? ...  ",
]


def empty_tokenizer(rule):
    tokenizer = Tokenizer(models.BPE())
    if rule["nfc"]:
        tokenizer.normalizer = normalizers.NFC()
    if rule["regex"]:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(rule["regex"]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def corpus():
    return (HERE / "tokenizer_corpus.txt").read_text().split("\n")


def train(name, rule, lines):
    tokenizer = empty_tokenizer(rule)
    trainer = trainers.BpeTrainer(vocab_size=rule["vocab"], special_tokens=rule["special"],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    if rule["add_bos"]:
        bos = rule["bos"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1",
            special_tokens=[(bos, tokenizer.token_to_id(bos))])
    if name == "qwen2":  # tokens with every flag
        tokenizer.add_tokens([
            AddedToken("<mask>", lstrip=True, normalized=False),
            AddedToken("<word>", single_word=True, normalized=False),
            AddedToken("<strip>", rstrip=True, normalized=False),
            AddedToken("<ab", normalized=False), AddedToken("<abc>", normalized=False),
            AddedToken("caf\u00e9 tok", normalized=True)])
    if name == "llama3":  # a word that no merge produces
        content = json.loads(tokenizer.to_str())
        content["model"]["ignore_merges"] = True
        content["model"]["vocab"]["\u0120zqx"] = len(content["model"]["vocab"])
        tokenizer = Tokenizer.from_str(json.dumps(content))
    return tokenizer


def write(name, rule, tokenizer):
    folder = HERE / f"tokenizer_{name}"
    folder.mkdir(exist_ok=True)
    # On one line, which takes half the size of the usual layout.
    content = json.loads(tokenizer.to_str())
    (folder / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "bos_token": rule["bos"], "eos_token": {"content": rule["eos"], "special": True},
        "pad_token": rule["pad"], "tokenizer_class": "PreTrainedTokenizerFast"}) + "\n")


def without_added(tokenizer):
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(content))


def words(tokenizer, text):
    """Returns the byte lengths of the pieces before merging."""
    return [len(text[begin:end].encode()) for _, (begin, end)
            in tokenizer.pre_tokenizer.pre_tokenize_str(text)]


def split_only(rule):
    regex = rule["regex"] or (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|"
                              r"\s+(?!\S)|\s+")
    return pre_tokenizers.Split(Regex(regex), "isolated")


def lacking_bytes():
    """Returns ids for vocabularies without a token for some byte, and with digits split off."""
    base = json.loads((HERE / "tokenizer_gpt2" / "tokenizer.json").read_text())
    variants = {}
    for name, change in LACKING.items():
        content = json.loads(json.dumps(base))
        model = content["model"]
        lacks = set(change["erase"])
        model["vocab"] = {text: id for text, id in model["vocab"].items()
                          if text in ("<s>", "</s>") or not lacks & set(text)}
        model["merges"] = [pair for pair in model["merges"] if not lacks & set("".join(pair))]
        model.update(change["model"])
        model["vocab"]["!!"] = 600  # reached only where merges are ignored
        if change["splits"]:
            content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": change["splits"]}
        tokenizer = Tokenizer.from_str(json.dumps(content))
        variants[name] = {
            "erase": sorted(lacks), "model": change["model"], "pre_tokenizer": content["pre_tokenizer"],
            "ids": [tokenizer.encode(text, add_special_tokens=False).ids for text in LACKING_TEXTS]}
    return {"texts": LACKING_TEXTS, "variants": variants}


def main():
    texts = CASES + random_texts(160)
    cases = {"texts": texts, "decode": {}}
    for name, rule in RULES.items():
        tokenizer = train(name, rule, corpus())
        write(name, rule, tokenizer)
        plain = without_added(tokenizer)
        split = split_only(rule)
        cases[name] = {
            "words": [[len(piece.encode()) for piece, _ in split.pre_tokenize_str(text)]
                      for text in texts],
            "parsed": [tokenizer.encode(text, add_special_tokens=False).ids for text in texts],
            "plain": [plain.encode(text, add_special_tokens=False).ids for text in texts],
        }
        if rule["nfc"]:
            cases["nfc"] = [tokenizer.normalizer.normalize_str(text) for text in texts]
        source = random.Random(7)
        lists = [[source.randrange(tokenizer.get_vocab_size()) for _ in range(12)]
                 for _ in range(12)]
        lists += [[source.randrange(300) for _ in range(12)] for _ in range(12)]
        cases["decode"][name] = [
            [ids, tokenizer.decode(ids, skip_special_tokens=False),
             tokenizer.decode(ids, skip_special_tokens=True)] for ids in lists]
    (HERE / "tokenizer_lacking_bytes.json").write_text(
        json.dumps(lacking_bytes(), separators=(",", ":")) + "\n")
    (HERE / "tokenizer_cases.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
