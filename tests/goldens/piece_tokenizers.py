"""Makes tokenizers of pieces, for goldens and for comparisons: SentencePiece models of several kinds and
the tokenizer.json files that correspond to them. Needs: sentencepiece 0.2.3, tokenizers 0.23.3,
transformers 5.23.
"""

import io
import json
from pathlib import Path

import sentencepiece
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AddedToken as WrapperToken
from transformers.tokenization_utils_base import generate_merges
from transformers.tokenization_utils_sentencepiece import SentencePieceBackend

MARK = "\u2581"

# Llama 2 and Vicuna.
LLAMA = dict(normalization_rule_name="identity", byte_fallback=True, remove_extra_whitespaces=False,
             split_digits=True, allow_whitespace_only_pieces=True)
# All other settings of a model.
STRICT = dict(byte_fallback=False, control_symbols=["<sep>"],
              user_defined_symbols=["<mask>", "<m", "ab ab", "\u4e2d\u6587", "\ufb01x"])
# Llama 2 without the leading space, and with user-defined pieces.
BARE = dict(LLAMA, add_dummy_prefix=False, user_defined_symbols=["<image>", "\n\n", "  x"])

# Replaced characters: a ligature, wide letters, an accent, and one that is removed.
RULES = [("fi", "\ufb01"), ("A", "\uff21"), ("a", "\uff41"), (" ", "\u3000"), (" ", "\t"), (" ", "\n"),
         ("\u00e9", "e\u0301"), ("", "\u200b"), ("...", "\u2026"), (" ", "\u00a0"), ("1\u20442", "\u00bd")]


def rules_file(path):
    def codes(text):
        return " ".join(f"{ord(c):X}" for c in text)
    path.write_text("".join(f"{codes(source)}\t{codes(target)}\n" for target, source in RULES))
    return str(path)


def train_model(lines, vocab_size, **options):
    """Returns the bytes of a tokenizer.model."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, model_type="bpe", vocab_size=vocab_size,
        hard_vocab_limit=False, num_threads=1, minloglevel=2, **options)
    return model.getvalue()


def load_model(content):
    return sentencepiece.SentencePieceProcessor(model_proto=content)


def varint(value):
    return bytes([value]) if value < 128 else bytes([value % 128 + 128]) + varint(value // 128)


def with_unused(content):
    """Marks every third merged piece of the model as unused: type 5 in field 3."""
    out, at, pieces = b"", 0, 0
    while content[at] == 0x0A:
        size, shift, at = 0, 0, at + 1
        while True:
            byte, at = content[at], at + 1
            size |= byte % 128 << shift
            shift += 7
            if byte < 128:
                break
        piece, at = content[at:at + size], at + size
        spelling = piece[2:2 + piece[1]].decode()
        if len(spelling) > 1 and pieces > 258 and pieces % 3 == 0:
            piece += b"\x18\x05"
        out += b"\x0a" + varint(len(piece)) + piece
        pieces += 1
    return out + content[at:]


def tokenizer_json(content, generation):
    """Converts a model as transformers does: `prepend` is its older form, `metaspace` its newer one."""
    model = load_model(content)
    vocabulary = {model.id_to_piece(i): i for i in range(model.get_piece_size())}
    scores = {piece: model.get_score(i) for piece, i in vocabulary.items()}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=generate_merges(vocabulary, scores),
                                     unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if generation == "prepend":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(MARK),
                                                     normalizers.Replace(" ", MARK)])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(
            replacement=MARK, prepend_scheme="first", split=generation == "split")
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse(),
        decoders.Strip(content=" ", left=1)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False)
                                  for t in ("<unk>", "<s>", "</s>")])
    tokenizer.add_tokens([
        AddedToken("<image>", normalized=False), AddedToken("<mask>", lstrip=True, normalized=False),
        AddedToken("<strip>", rstrip=True, normalized=False),
        AddedToken("<word>", single_word=True, normalized=False),
        AddedToken("<norm>", normalized=True), AddedToken("caf\u00e9 tok", normalized=True)])
    return tokenizer


def without_added(tokenizer):
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(content))


CONFIG = {
    "add_bos_token": True, "add_eos_token": False, "bos_token": "<s>", "eos_token": "</s>",
    "unk_token": "<unk>", "tokenizer_class": "LlamaTokenizer"}
ADDED = {"<image>": dict(special=False), "<mask>": dict(lstrip=True, special=True),
         "<strip>": dict(rstrip=True, special=False)}


def wrapper_config(content, legacy):
    """Returns the tokenizer_config.json of a tokenizer.model."""
    size = load_model(content).get_piece_size()
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    decoder = {str(i): dict(flags, content=text) for i, text in enumerate(("<unk>", "<s>", "</s>"))}
    for i, (text, own) in enumerate(ADDED.items()):
        decoder[str(size + i)] = dict(flags, content=text, **own)
    return dict(CONFIG, legacy=legacy, added_tokens_decoder=decoder)


class Wrapper(SentencePieceBackend):
    """The Llama tokenizer on sentencepiece, as in transformers up to version 4."""

    def __init__(self, vocab_file, legacy):
        flags = dict(normalized=False, lstrip=False, rstrip=False)
        if not legacy:
            # add_dummy_prefix = false: a second normalizer_spec is merged into the first.
            bare = Path(f"{vocab_file}.bare")
            bare.write_bytes(Path(vocab_file).read_bytes() + b"\x1a\x02\x18\x00")
            vocab_file = str(bare)
        super().__init__(vocab_file=vocab_file, legacy=True,
                         unk_token=WrapperToken("<unk>", special=True, **flags),
                         bos_token=WrapperToken("<s>", special=True, **flags),
                         eos_token=WrapperToken("</s>", special=True, **flags))
        for text, own in ADDED.items():
            self.add_tokens([WrapperToken(text, **dict(flags, **own))],
                            special_tokens=own["special"])
        self.legacy = legacy

    def tokenize(self, text, **kwargs):
        if self.legacy or not text:
            return super().tokenize(text, **kwargs)
        tokens = super().tokenize(MARK + text.replace(MARK, " "), **kwargs)
        if len(tokens) > 1 and tokens[0] == MARK and tokens[1] in self.all_special_tokens:
            tokens = tokens[1:]
        return tokens

    def ids(self, text):
        return self.convert_tokens_to_ids(self.tokenize(text))
