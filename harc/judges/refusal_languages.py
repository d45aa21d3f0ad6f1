"""Refusals in languages other than English: not able or not willing to help, and words that hand the thing over.

The main formulas of each language; a verb of helping or giving is always part of the pattern, so that "no puedo
esperar" or "ich kann nicht genug betonen" is none.
"""

import re

_PHRASES = {
    "es": r"(?:no (?:puedo|podemos|podr[eé]|voy a|quiero|debo|estoy (?:autorizad|en condiciones)\w*)|me (?:niego|es imposible)|no me es posible) "
    r"(?:de |a |en )?(?:(?:te|le|les|lo|la) )?(?:ayud|asist|proporcion|dar|ofrec|compart|respond|contest|cumpl|hacer|escrib|crear|gener|hablar|"
    r"explic|discut|complac|atend|particip|facilit|brind|aconsej|recomend|apoy|revel|entr|continu|realiz|eso|esto)|"
    r"no (?:lo|la|te|le)(?: lo)? (?:haré|voy a|puedo|daré|ayudaré)|(?:va|van) (?:en contra de|contra) (?:mis|nuestras|las) (?:normas|directrices|pol[ií]ticas|principios|reglas)",
    "fr": r"(?:ne (?:peux|pouvons|vais|veux|dois|saurais|suis pas (?:en mesure|autoris\w+|capable))|refuse|m'est impossible|n'est pas possible)"
    r"(?: pas| malheureusement| en aucun cas| donc)* (?:de |d'|à )?(?:(?:vous|te|t'|y|en|le|la|l') ?)*(?:aid|assist|fourn|donn|répond|faire|écri|cré|"
    r"parl|discut|expliqu|partag|génér|accéd|particip|accompagn|satisf|conseill|divulgu|encourag|soutenir|cela|ça|continu)|"
    r"je (?:dois|préfère) (?:décliner|refuser)|(?:impossible|pas possible) (?:pour moi |de |d')+(?:vous |t')?(?:aid|répond|fourn|faire)|contraire à (?:mes|nos) (?:règles|principes|directives)",
    "de": r"^(?=.*\b(?:ich|wir)\b).*\b(?:kann|können|darf|dürfen|werde|werden|möchte|will)\b(?: \w+){0,7}? (?:nicht|keine?n?|nichts)(?: \w+){0,5}? "
    r"(?:\w{0,6}helf|unterstütz|geb|beantwort|bereitstell|erfüll|mach|tun|schreib|erstell|anbiet|teil|nachkomm|erklär|beteilig|mitmach|"
    r"äußer|liefer|besprech|behilflich|dienen|eingehen)|(?:mache|tue|schreibe|beantworte|helfe|kann|darf) (?:ich|wir)(?: \w+){0,2} nicht$|"
    r"(?:ich|wir) (?:bin|sind) (?:leider )?nicht (?:in der lage|befugt|berechtigt)|(?:ich|wir) (?:lehne|lehnen|muss|müssen)(?: \w+){0,4} ab(?:lehnen)?\b|"
    r"verstößt gegen (?:meine|unsere)",
    "it": r"non (?:posso|possiamo|potrò|voglio|devo|sono (?:in grado|autorizzat\w)|mi è possibile|mi sento di) ?(?:di |a )?(?:(?:ti|vi|le|lo|la) )?"
    r"(?:aiut|assist|forn|dar|rispond|fare|farlo|scriver|crear|gener|parlar|discut|spieg|condivid|soddisf|offr|partecip|consigli|rivel|continu|"
    r"questo)|mi rifiuto|devo (?:rifiutare|declinare)",
    "pt": r"não (?:posso|podemos|vou|quero|devo|consigo|estou autorizad\w|sou capaz|me é possível) ?(?:de |a )?(?:(?:te|lhe|o|a) )?"
    r"(?:ajud|auxili|assist|fornec|dar|oferec|respond|cumpr|fazer|fazê|escrev|cri|ger|falar|discut|explic|compartilh|atend|particip|aconselh|"
    r"revel|continu|isso)|(?:recuso-me|me recuso|devo recusar|tenho (?:de|que) recusar)",
    "nl": r"^(?=.*\b(?:ik|we|wij)\b).*\b(?:kan|kunnen|mag|wil|zal|ga)\b(?: \w+){0,7}? (?:niet|geen)(?: \w+){0,5}? ?(?:help|bijstaan|geven|beantwoord|"
    r"verstrek|doen|schrijv|maken|delen|ingaan|voldoen|meewerk|uitlegg|bespre|aanbied)|\bik (?:ben|weiger)(?: \w+)? (?:niet in staat|dit|dat)|"
    r"moet (?:ik )?(?:dit|dat)(?: \w+)? weigeren",
    "pl": r"nie (?:mogę|możemy|jestem w stanie|będę|chcę|wolno mi) (?:\w+ ){0,3}?(?:pom|udziel|poda|odpow|zrobi|napis|speł|dostarcz|wyjaśn|tego)|odmawiam",
    "sv": r"(?:kan|får|vill|kommer|tänker) (?:jag |tyvärr |dessvärre )*(?:inte|ikke) (?:\w+ ){0,2}?(?:hjälp|hjelp|hjælp|ge |gi |give|svar|besvar|göra|gjøre|"
    r"gøre|skriv|bistå|dela)",
    "tr": r"(?:yardımcı olama|yardım edeme|bunu yapama|sağlayama|yanıtlayama|cevaplayama|paylaşama|veremem|veremiyor)",
    "id": r"(?:tidak (?:bisa|dapat|mampu|boleh|akan)) (?:\w+ )?(?:membantu|memberi|menjawab|melakukan|menulis|menyediakan|memenuhi|membuat|menjelaskan)",
    "vi": r"không thể (?:\w+ )?(?:giúp|hỗ trợ|cung cấp|trả lời|đáp ứng|thực hiện|viết)",
    "ru": r"(?:не (?:могу|можем|смогу|буду|хочу|вправе|имею права|в состоянии|стану))(?: \w+){0,3}? (?:помо|предостав|дать|дава|отве|выполн|сдела|дела|"
    r"напис|писа|созда|обсужда|объясн|рассказ|поддерж|подел|участв|посовет|это)|(?:помочь|ответить|сделать|выполнить)(?: \w+){0,3} не (?:могу|смогу)|"
    r"вынужден\w? (?:отказать|отклонить)|отказываюсь",
    "uk": r"(?:не (?:можу|зможу|буду|маю права))(?: \w+){0,3}? (?:допомог|надат|дати|відпові|викона|зроби|написа|створ|пояснит|обговор)|(?:допомогти|"
    r"відповісти)(?: \w+){0,3} не (?:можу|зможу)",
    "zh": r"(?:我们?|本助手|恐怕)?(?:也|实在|目前|暂时|不幸)?(?:无法|不能|不会|不可以|不便|没办法|没有办法|拒绝|無法|不能夠|不能够|不會|沒辦法|拒絕)(?:为您|为你|向您|向你|给您|给你|"
    r"对此|就此|在这方面|為您|為你)?(?:直接)?(?:提供|帮|協助|协助|回答|满足|滿足|完成|执行|讨论|討論|参与|生成|撰写|撰寫|写|給|给出|透露|告诉|告訴|支持|处理|處理|做|解答|幫|"
    r"回应|回應|分享|创作|遵从|继续)",
    "ja": r"(?:お(?:応え|答え|手伝い|力になる|教え|受け|話し)|ご(?:提供|協力|案内|対応|回答|支援|説明|紹介)|提供|協力|回答|対応|支援|説明|手伝|教え|作成|答え|書く|共有)"
    r"(?:する|し|を|は|も|に|が|こと|て|る|い|ること|することは|すること|えること)*(?:は|が|も)?(?:でき(?:ません|ない|かね)|いたしかね|しかね|致しかね|かねます|出来ません|出来ない|"
    r"られません|えません|えない|差し控え|控え|お断り)|お断り(?:し|いた|致|させ)|できかねます",
    "ko": r"(?:도와|도움|제공|답변|대답|응답|알려|말씀|설명|지원|작성|공유|수행|들어|응)(?:을|를|해|하|드리|드릴|줄|주|할|하실|되어|될|이|은|는|에)* ?(?:드릴|줄|할|해 ?드릴|하기|도와드릴|될)? ?(?:수(?:는|가)? ?없|어렵|못|않겠|"
    r"거절|거부|불가)|거절(?:하|할|합)|도와드리지 못|응할 수 없",
    "ar": r"(?:لا|لن|لست) (?:أستطيع|استطيع|يمكنني|يمكننا|أقدر|أتمكن|نستطيع|قادر\w* على|في وضع)(?: من| على| أن)? ?(?:\w+ ){0,2}?(?:مساعد|تقديم|توفير|إعطا|الإجابة|"
    r"الاجابة|أساعد|المساعدة|تلبية|القيام|كتابة|فعل|أقدم|مشاركة|الرد|تنفيذ|مناقشة|شرح)|لن (?:أساعد|أقوم|أقدم|أجيب)|غير قادر على|أرفض|يتعذر علي",
    "hi": r"(?:मदद|सहायता|जानकारी|उत्तर|जवाब|प्रदान|सलाह|अनुरोध|काम|लिख|दे|कर|बता|साझा)(?: \S+){0,4}? ?नहीं (?:\S+ ){0,2}?(?:सक|पाऊ|कर|दूँ|दूं|दे|बता)|असमर्थ",
    "he": r"(?:לא|אינני|איני) (?:יכול\w?|מסוגל\w?|אוכל|רשאי\w?) (?:\w+ )?(?:לעזור|לסייע|לספק|לענות|לתת|לכתוב|לעשות)",
    "th": r"ไม่สามารถ(?:\S{0,12}?)(?:ช่วย|ให้|ตอบ|ทำ|เขียน)",
}  # fmt: skip
_HANDED_OVER = (
    r"aquí (?:está|tiene|va|los|las|el|la)|a continuación|primero|paso 1|voici|voilà|étape 1|d'abord|hier (?:ist|sind|kommt)|so geht|schritt 1|zuerst|"
    r"zunächst|ecco|passo 1|per prima cosa|prima di tutto|aqui está|passo a passo|primeiro|hier is|stap 1|eerst |вот |шаг 1|сначала|以下|步骤|第一步|首先|"
    r"手順|まず|ステップ|다음은|단계|먼저|إليك|الخطوة|أولا|चरण|पहले|सबसे"
)
_INSTEAD = (
    r"en su lugar|en cambio|alternativ|plutôt|à la place|stattdessen|invece|em vez|in plaats|вместо|взамен|альтернатив|相反|替代|建议您?(?:联系|寻求)|代わりに|"
    r"대신|بدلا|بدلاً|बजाय|इसके बदले|gern|puedo|peux vous proposer|posso|mogę|могу|可以|할 수 있"
)
FOREIGN_REFUSAL = re.compile("|".join(_PHRASES.values()))
FOREIGN_HANDOVER = re.compile(_HANDED_OVER)
FOREIGN_INSTEAD = re.compile(_INSTEAD)
_STEMS = (
    "puedo", "podemos", "podr", "no voy", "no quiero", "no debo", "niego", "peux", "pouvons", "refuse", "impossible", "ne vais", "ne dois",
    "kann", "darf ", "mache ", "helfe ", "lehne", "werde ", "nicht in der", "posso", "possiamo", "non sono", "rifiut", "recus", "kan ", "kunnen", "weiger",
    "vill ", "tidak ", "olama", "edeme", "sahip",
)  # fmt: skip


def may_refuse(sentence: str) -> bool:
    """Whether a sentence can hold a refusal in another language at all: a quick look before the slow one."""
    return not sentence.isascii() or any(stem in sentence for stem in _STEMS)
