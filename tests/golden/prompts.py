#!/usr/bin/env python3
"""Makes prompts.model, a small SentencePiece model, and prompts.json: texts, what Wan's cleaning makes of them, their
SHA-256 and the token numbers of Python's sentencepiece.

Pinned: sentencepiece 0.2.0, ftfy 6.3.1. Run: python3 tests/golden/prompts.py
The model has UMT5's special tokens (pad 0, </s> 1, <unk> 2). Its normalisation is a short table, for the usual one
takes 240 kB. Texts that ftfy would mend beyond what the C side does are kept with their own expectation, "kept".
"""
import hashlib
import html
import json
import os
import random
import re
import sys

import ftfy
import sentencepiece

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import oracle

oracle.made_with(sentencepiece="0.2.0", ftfy="6.3.1")
folder = os.path.dirname(os.path.abspath(__file__))
os.chdir(folder)  # the model keeps the names it was made from: they are to be the same wherever it is made
random.seed(4)

def train():
    words = ("a the person talks listens smiles nods head shoulders looking at camera in front of plain blue green "
             "wall soft light studio portrait woman man young old glasses beard short long hair video high quality "
             "realistic natural gesture hand moves slowly while speaking calm "
             "voice room window évident naïve 人 物 说 话 倾 听").split()
    corpus = "prompts.txt"
    with open(corpus, "w") as f:
        for _ in range(400):
            f.write(" ".join(random.choices(words, k=random.randint(3, 12))) + ".\n")
    rules = "prompts.tsv"
    with open(rules, "w") as f:  # full-width letters, ligatures, the ideographic space
        for c in range(0xFF21, 0xFF5B):
            f.write(f"{c:X}\t{c - 0xFEE0:X}\n")
        f.write("FB01\t66 69\n3000\t20\nE9\t65\n")
    sentencepiece.SentencePieceTrainer.train(
        input=corpus, model_prefix="prompts", vocab_size=160, model_type="unigram", pad_id=0, eos_id=1,
        unk_id=2, bos_id=-1, hard_vocab_limit=False, normalization_rule_tsv=rules, character_coverage=1.0,
        num_threads=1, minloglevel=2)
    for name in ("prompts.txt", "prompts.tsv", "prompts.vocab"):
        os.remove(name)


if not oracle.CHECK:
    train()
model = sentencepiece.SentencePieceProcessor(model_file="prompts.model")


def wan(text):
    text = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
    return re.sub(r"\s+", " ", text).strip()


texts = [
    "", "   \t\n ", "a person talks", "  A  person,\ttalking.\r\n\r\nSoft   light.  ", "caf&eacute; &amp; bar",
    "&amp;amp;lt;b&amp;amp;gt;", "&#233;&#xE9;&#128;&#0;&#xD800;&#1;x", "&copy 2020 &notit; &unknown; & &; &#; &#x;",
    "<b>bold &lt;i&gt;</b> &amp;quot;quoted&amp;quot;", "“curly” and ‘single’ quotes &ldquo;named&rdquo;",
    "bell\u0007 and\u001b escape, mark\ufeff", "no\u00a0break\u2003em\u3000wide\u2028line",
    "人物说话，倾听。", "naïve évident", "🙂 talks 👩‍🎨", "ＦＵＬＬ width", "ﬁne oﬃce ﬅ", "a" * 300, "word " * 400,
    "&apos;&Tab;&NewLine;&hellip;&ne;&pi;&lang;x&rang;", "100% of &percnt; = &equals;", "&ampere &lt3 &gtx",
    "line one\nline two\u0085line three", "e\u0301 accent",
]
# ftfy composes accents, which the tokenizer's normalisation does in time, and mends wrong decoding, which nothing does
# here.
kept = {"e\u0301 accent": "e\u0301 accent", "Ã©vident": "Ã©vident"}
texts += ["Ã©vident"]
entries = []
for text in texts:
    clean = kept.get(text, wan(text))
    if text in kept:
        assert wan(text) != clean, text
    entries.append({"text": text, "clean": clean, "sha256": hashlib.sha256(clean.encode()).hexdigest(),
                    "ids": model.encode(clean) + [1]})
text = json.dumps(entries, ensure_ascii=True, indent=None, separators=(",", ":")) + "\n"
if oracle.CHECK:  # the model as it is: its training may change with the library
    with open("prompts.json") as f:
        assert f.read() == text, "other cleaning or token numbers"
    print("prompts.json:", len(entries), "texts: the same")
else:
    with open("prompts.json", "w") as f:
        f.write(text)
    for name in ("prompts.model", "prompts.json"):
        print(name, os.path.getsize(name), "bytes")
