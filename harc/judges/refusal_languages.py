"""Refusals in languages other than English: not able or not willing to help, and words that hand the thing over.

The main formulas of each language. A verb of helping or giving is always part of the pattern, so that "no puedo
esperar" or "ich kann nicht genug betonen" is none; where the verb does not say who speaks, another word has to.
"""

import re
from collections.abc import Sequence

_PHRASES: Sequence[tuple[str, str, str]] = (
    ("es", "",
     r"(?:no (?:puedo|podemos|podr[eé]|voy a|quiero|debo|estoy (?:autorizad|en condiciones)\w*)|"
     r"me (?:niego|es imposible)|no me es posible) (?:para |de |a |en )?(?:(?:te|le|les|lo|la) )?(?:ayud|asist|"
     r"proporcion|dar|ofrec|compart|respond|contest|cumpl|hacer|escrib|crear|gener|hablar|explic|discut|"
     r"complac|atend|particip|facilit|brind|aconsej|recomend|apoy|revel|entr|continu|realiz|eso|esto)|"
     r"no (?:lo|la|te|le)(?: lo)? (?:haré|voy a|puedo|daré|ayudaré)|prefiero no|(?:va|"
     r"van) (?:en contra de|contra) (?:mis|nuestras|las) (?:normas|directrices|pol[ií]ticas|principios|"
     r"reglas)"),
    ("fr", "",
     r"(?:ne (?:peux|pouvons|vais|veux|dois|saurais|suis pas (?:en mesure|autoris\w+|capable))|refuse|"
     r"m'est impossible|n'est pas possible)(?: pas| malheureusement| en aucun cas| donc)* (?:de |d'|"
     r"à )?(?:(?:vous|te|t'|y|en|le|la|l') ?)*(?:aid|assist|fourn|donn|répond|faire|écri|cré|parl|discut|"
     r"expliqu|partag|génér|accéd|particip|accompagn|satisf|conseill|divulgu|encourag|soutenir|cela|ça|"
     r"continu)|je (?:dois|préfère) (?:décliner|refuser|ne pas)|préférerais ne pas|(?:impossible|"
     r"pas possible) (?:pour moi |de |d')+(?:vous |t')?(?:aid|répond|fourn|faire)|contraire à (?:mes|"
     r"nos) (?:règles|principes|directives)"),
    ("de", r"\b(?:ich|wir)\b",
     r"\b(?:kann|können|darf|dürfen|werde|werden|möchte|will)\b(?: \w+){0,7}? (?:nicht|keine?n?|"
     r"nichts)(?: \w+){0,5}? (?:\w{0,6}helf|unterstütz|geb|beantwort|bereitstell|erfüll|mach|tun|schreib|"
     r"erstell|anbiet|teil|nachkomm|erklär|beteilig|mitmach|äußer|liefer|besprech|behilflich|dienen|"
     r"eingehen)|(?:mache|tue|schreibe|beantworte|helfe|kann|darf) (?:ich|wir)(?: \w+){0,2} nicht$|"
     r"(?:ich|wir) (?:bin|sind) (?:leider )?nicht (?:in der lage|befugt|berechtigt)|(?:ich|wir) (?:lehne|"
     r"lehnen|muss|müssen)(?: \w+){0,4} ab(?:lehnen)?\b|möchte(?: \w+){0,4} lieber nicht|"
     r"verstößt gegen (?:meine|unsere)"),
    ("it", "",
     r"non (?:posso|possiamo|potrò|voglio|devo|sono (?:in grado|autorizzat\w)|mi è possibile|"
     r"mi sento di) ?(?:di |a )?(?:(?:ti|vi|le|lo|la) )?(?:aiut|assist|forn|dar|rispond|fare|farlo|"
     r"scriver|crear|gener|parlar|discut|spieg|condivid|soddisf|offr|partecip|consigli|rivel|continu|"
     r"questo)|preferi\w+ non|mi rifiuto|devo (?:rifiutare|declinare)"),
    ("pt", "",
     r"não (?:posso|podemos|vou|quero|devo|consigo|estou autorizad\w|sou capaz|me é possível) ?(?:de |"
     r"a )?(?:(?:te|lhe|o|a) )?(?:ajud|auxili|assist|fornec|dar|oferec|respond|cumpr|fazer|fazê|escrev|"
     r"cri|ger|falar|discut|explic|compartilh|atend|particip|aconselh|revel|continu|isso)|prefiro não|"
     r"(?:recuso-me|me recuso|devo recusar|tenho (?:de|que) recusar)"),
    ("nl", r"\b(?:ik|we|wij)\b",
     r"\b(?:kan|kunnen|mag|wil|zal|ga)\b(?: \w+){0,7}? (?:niet|geen)(?: \w+){0,5}? ?(?:help|bijstaan|"
     r"geven|beantwoord|verstrek|doen|schrijv|maken|delen|ingaan|voldoen|meewerk|uitlegg|bespre|aanbied)|"
     r"\bik (?:ben|weiger)(?: \w+)? (?:niet in staat|dit|dat)|liever niet|moet (?:ik )?(?:dit|"
     r"dat)(?: \w+)? weigeren"),
    ("pl", "",
     r"nie (?:mogę|możemy|jestem w stanie|będę|chcę|wolno mi) (?:\w+ ){0,3}?(?:pom|udziel|poda|odpow|"
     r"zrobi|napis|speł|dostarcz|wyjaśn|tego)|odmawiam"),
    ("sv", r"\b(?:jag|vi|jeg)\b",
     r"(?:kan|får|vill|kommer|tänker) (?:jag |tyvärr |dessvärre )*(?:inte|ikke) (?:\w+ ){0,2}?(?:hjälp|"
     r"hjelp|hjælp|ge |gi |give|svar|besvar|göra|gjøre|gøre|skriv|bistå|dela)"),
    ("tr", "",
     r"(?:(?:yardımcı olama|yardım edeme|bunu yapama|sağlayama|yanıtlayama|cevaplayama|paylaşama)(?:m|"
     r"yız|yaca)|veremem|veremiyor)"),
    ("id", r"\b(?:saya|kami|maaf)\b",
     r"(?:tidak (?:bisa|dapat|mampu|boleh|akan)) (?:\w+ )?(?:membantu|memberi|menjawab|melakukan|menulis|"
     r"menyediakan|memenuhi|membuat|menjelaskan)"),
    ("vi", r"tôi|xin lỗi",
     r"không thể (?:\w+ )?(?:giúp|hỗ trợ|cung cấp|trả lời|đáp ứng|thực hiện|viết)"),
    ("ru", "",
     r"(?:не (?:могу|можем|смогу|буду|хочу|вправе|имею права|в состоянии|стану))(?: \w+){0,3}? (?:помо|"
     r"предостав|дать|дава|отве|выполн|сдела|дела|напис|писа|созда|обсужда|объясн|рассказ|поддерж|подел|"
     r"участв|посовет|это)|(?:помочь|ответить|сделать|выполнить)(?: \w+){0,3} не (?:могу|смогу)|"
     r"вынужден\w? (?:отказать|отклонить)|отказываюсь"),
    ("uk", "",
     r"(?:не (?:можу|зможу|буду|маю права))(?: \w+){0,3}? (?:допомог|надат|дати|відпові|викона|зроби|"
     r"написа|створ|пояснит|обговор)|(?:допомогти|відповісти)(?: \w+){0,3} не (?:можу|зможу)"),
    ("zh", r"我|抱歉|对不起|對不起|不好意思|遗憾|恐怕|本助手",
     r"(?:无法|不能|不会|不可以|不便|没办法|没有办法|拒绝|無法|不能夠|不能够|不會|沒辦法|拒絕)(?:为您|"
     r"为你|向您|向你|给您|给你|对此|就此|在这方面|為您|為你)?(?:直接)?(?:提供|帮|協助|协助|回答|满足|"
     r"滿足|完成|执行|讨论|討論|参与|生成|撰写|撰寫|写|給|给出|透露|告诉|告訴|支持|处理|處理|做|解答|幫|"
     r"回应|回應|分享|创作|遵从|继续)|做不到|办不到|帮不了|帮不上|辦不到|幫不上"),
    ("ja", "",
     r"(?:お(?:応え|答え|手伝い|力になる|教え|受け|話し)|ご(?:提供|協力|案内|対応|回答|支援|説明|"
     r"紹介))(?:する|し|を|は|も|に|が|こと|て|る|い)*(?:でき(?:ません|ない|かね)|(?:いたし|致し|"
     r"し)?かね|出来ません|出来ない|られません|えません|えない|(?:差し)?控え|お断り)|お断り(?:し|いた|致|"
     r"させ)|できかねます"),
    ("ja_plain", r"申し訳|すみません|すいません|ごめん|恐れ入り|恐縮|残念|私",
     r"(?:提供|協力|回答|対応|支援|説明|手伝|教え|作成|答え|書く|共有)(?:する|し|を|は|も|に|が|こと|て|"
     r"る|い)*(?:でき(?:ません|ない|かね)|(?:いたし|致し|し)?かね|出来ません|出来ない|られません|"
     r"えません|えない)"),
    ("ko", "",
     r"(?:도와|도움(?:을|은|이)?|제공해|답변|대답|응답|알려|말씀|설명해|작성해|공유해)(?:을|"
     r"를)? ?(?:도와)?(?:드릴|드리기|드리지|할|될) ?(?:수(?:는|가)? ?없|어렵|못|않)|답변할 수 없|"
     r"응할 수 없|거절(?:하겠|할 수밖에|합니다)"),
    ("ko_plain", r"죄송|미안|유감|저는|제가|저희",
     r"(?:제공|답변|대답|응답|설명|지원|작성|공유|수행|처리|도움)\S{0,4} ?(?:할|될|줄) ?수(?:는|가)? ?없"),
    ("ar", "",
     r"(?:لا|لن|لست) (?:أستطيع|استطيع|يمكنني|يمكننا|أقدر|أتمكن|نستطيع|قادر\w* على|في وضع)(?: من| على|"
     r" أن)? ?(?:\w+ ){0,2}?(?:مساعد|تقديم|توفير|إعطا|الإجابة|الاجابة|أساعد|المساعدة|تلبية|القيام|كتابة|"
     r"فعل|أقدم|مشاركة|الرد|تنفيذ|مناقشة|شرح)|لن (?:أساعد|أقوم|أقدم|أجيب)|غير قادر على|أرفض|يتعذر علي"),
    ("hi", r"मैं|हम|क्षमा|माफ|खेद",
     r"(?:मदद|सहायता|जानकारी|उत्तर|जवाब|प्रदान|सलाह|अनुरोध|काम|लिख|दे|कर|बता|"
     r"साझा)(?: \S+){0,4}? ?नहीं (?:\S+ ){0,2}?(?:सक|पाऊ|कर|दूँ|दूं|दे|बता)|असमर्थ"),
    ("he", "",
     r"(?:לא|אינני|איני) (?:יכול\w?|מסוגל\w?|אוכל|רשאי\w?) (?:\w+ )?(?:לעזור|לסייע|לספק|לענות|לתת|לכתוב|"
     r"לעשות)"),
    ("th", r"ฉัน|ผม|เรา|ขออภัย|ขอโทษ",
     r"ไม่สามารถ(?:\S{0,12}?)(?:ช่วย|ให้|ตอบ|ทำ|เขียน)"),
)  # fmt: skip
"""Language, words of which the sentence must hold one so that it speaks of the speaker, and the pattern."""
_HANDED_OVER = (
    r"aquí (?:está|tiene|va|los|las|el|la)|a continuación|primero|paso 1|voici|voilà|étape 1|d'abord|"
    r"hier (?:ist|sind|kommt)|so geht|schritt 1|zuerst|zunächst|ecco|passo 1|per prima cosa|"
    r"prima di tutto|aqui está|passo a passo|primeiro|hier is|stap 1|eerst |вот |шаг 1|сначала|以下|"
    r"步骤|第一步|首先|手順|まず|ステップ|다음은|단계|먼저|إليك|الخطوة|أولا|चरण|पहले|सबसे"
)
_INSTEAD = (
    r"en su lugar|en cambio|alternativ|plutôt|à la place|stattdessen|invece|em vez|in plaats|вместо|"
    r"взамен|альтернатив|相反|替代|建议您?(?:联系|寻求)|代わりに|대신|بدلا|بدلاً|बजाय|इसके बदले|gern|"
    r"puedo|peux vous proposer|posso|mogę|могу|可以|할 수 있"
)


def _join(subject: str, phrase: str) -> str:
    return rf"^(?=.*(?:{subject})).*(?:{phrase})" if subject else phrase


FOREIGN_REFUSAL = re.compile("|".join(_join(subject, phrase) for _, subject, phrase in _PHRASES))
FOREIGN_HANDOVER = re.compile(_HANDED_OVER)
FOREIGN_INSTEAD = re.compile(_INSTEAD)
_STEMS = (
    "no puedo", "no podemos", "no podr", "no voy", "no quiero", "no debo", "no estoy", "no lo", "no la", "no te",
    "no me", "niego", "prefiero", "ne ", "n'", "refuse", "impossible", "nicht", "keine", "kein ", "lehne", "non ",
    "rifiut", "recus", "prefiro", "niet", "geen", "weiger", "inte ", "ikke ", "tidak ", "olama", "edeme", "nie ",
)  # fmt: skip


def may_refuse(sentence: str) -> bool:
    """Whether a sentence can hold a refusal in another language at all: a quick look before the slow one."""
    return not sentence.isascii() or any(stem in sentence for stem in _STEMS)
