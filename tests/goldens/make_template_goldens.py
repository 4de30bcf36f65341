"""Writes chat_templates.json: conversations as transformers renders them with the templates that models
were published with. Needs: transformers 5.23, tokenizers 0.23.3.

    python tests/goldens/make_template_goldens.py
"""

import json
from pathlib import Path

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

LLAMA_2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
    "{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}")
LLAMA_3 = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'"
    "+ message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}")
QWEN2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\\nYou are a helpful assistant<|im_end|>\\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
TEMPLATES = {"llama_2": (LLAMA_2, "<s>", "</s>"), "llama_3": (LLAMA_3, "<|begin_of_text|>", "<|end_of_text|>"),
             "qwen2": (QWEN2, "<|endoftext|>", "<|im_end|>")}

TURNS = [["user", "<image>\nWhat is this?"], ["assistant", "A red circle, and a square."],
         ["user", "Sure? <image> <image>"], ["assistant", "Yes: \u4e2d\u6587 \U0001f600"], ["user", "x"]]


def main():
    cases = []
    for name, (template, bos, eos) in TEMPLATES.items():
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), bos_token=bos, eos_token=eos)
        for system in (None, "Be brief."):
            if system is None and name != "qwen2":
                continue  # VILA has its own system text for the others
            for count in range(1, len(TURNS) + 1):
                messages = [["system", system]] if system else []
                messages += TURNS[:count]
                generates = count % 2 == 1
                text = tokenizer.apply_chat_template(
                    [{"role": role, "content": content} for role, content in messages],
                    chat_template=template, tokenize=False, add_generation_prompt=generates)
                cases.append({"template": name, "messages": messages, "generates": generates,
                              "bos": bos, "eos": eos, "text": text})
    path = Path(__file__).parent / "chat_templates.json"
    path.write_text(json.dumps(cases) + "\n")


main()
