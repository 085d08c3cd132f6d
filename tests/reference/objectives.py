"""What methods.md says, in loops over plain floats: slow, obvious, and written without the engine.

Tensors come in, Python numbers go out. Vectors are lists.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import linprog

# --- vectors -----------------------------------------------------------------------------------


def softmax(vector, temperature=1.0):
    scaled = [value / temperature for value in vector]
    largest = max(scaled)
    powers = [math.exp(value - largest) for value in scaled]
    return [power / sum(powers) for power in powers]


def log_softmax(vector, temperature=1.0):
    scaled = [value / temperature for value in vector]
    largest = max(scaled)
    log_sum = largest + math.log(sum(math.exp(value - largest) for value in scaled))
    return [value - log_sum for value in scaled]


def norm(vector):
    return math.sqrt(sum(value * value for value in vector))


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else 0.0


# --- one token: student vector and teacher vector -----------------------------------------------


def token_mse(student, teacher):
    return mean((s - t) ** 2 for s, t in zip(student, teacher, strict=True))


def token_l2(student, teacher):
    return norm([s - t for s, t in zip(student, teacher, strict=True)])


def token_cos(student, teacher):
    dot = sum(s * t for s, t in zip(student, teacher, strict=True))
    return 1 - dot / (norm(student) * norm(teacher))


def token_pkd(student, teacher):
    student, teacher = ([v / norm(vector) for v in vector] for vector in (student, teacher))
    return sum((s - t) ** 2 for s, t in zip(student, teacher, strict=True))


def token_ce(student, teacher):
    return -sum(p * q for p, q in zip(softmax(teacher), log_softmax(student), strict=True))


TOKEN_LOSS = {"mse": token_mse, "l2": token_l2, "cos": token_cos, "pkd": token_pkd, "ce": token_ce}


def hidden(kind, student, teacher, mask):
    """One value per sample: the mean over its valid tokens, for pkd the first token alone."""
    values = []
    for vectors_s, vectors_t, valid in zip(student.tolist(), teacher.tolist(), mask.tolist(), strict=True):
        tokens = list(zip(vectors_s, vectors_t, valid, strict=True))
        tokens = tokens[:1] if kind == "pkd" else tokens
        values.append(mean(TOKEN_LOSS[kind](s, t) for s, t, counts in tokens if counts))
    return values


# --- attention ------------------------------------------------------------------------------------


def scores(queries, keys, heads):
    """Of one text: head → token → token, each head's q · k over the root of its width (Vaswani et al. 2017)."""
    width = len(queries[0]) // heads
    return [
        [
            [
                sum(q * k for q, k in zip(asks[a : a + width], said[a : a + width], strict=True)) / math.sqrt(width)
                for said in keys
            ]
            for asks in queries
        ]
        for a in range(0, heads * width, width)
    ]


def averaged(maps, count):
    """So many means over neighbouring heads."""
    size, tokens = len(maps) // count, range(len(maps[0]))
    groups = [maps[start : start + size] for start in range(0, len(maps), size)]
    return [[[mean(head[n][m] for head in group) for m in tokens] for n in tokens] for group in groups]


def attention_maps(student, teacher, heads, mask):
    """Jiao et al. 2020, eq. 7: of queries and keys on both sides, one value per text, over tokens that count."""
    values, count = [], math.gcd(*heads)
    for b, valid in enumerate(mask.tolist()):
        tokens = [n for n in range(len(valid)) if valid[n]]
        both = []
        for (queries, keys), own in zip((student, teacher), heads, strict=True):
            vectors = ([side[b].tolist()[n] for n in tokens] for side in (queries, keys))
            both.append(averaged(scores(*vectors, own), count) if tokens else [])
        apart = [
            mean((s - t) ** 2 for rows in zip(ours, theirs, strict=True) for s, t in zip(*rows, strict=True))
            for ours, theirs in zip(*both, strict=True)
        ]
        values.append(mean(apart))
    return values


def relations(student, teacher, heads, mask):
    """Wang et al. 2021, section 3.1, of queries, keys or values: one value per text, over tokens that count."""
    values = []
    for b, valid in enumerate(mask.tolist()):
        tokens = [n for n in range(len(valid)) if valid[n]]
        ours, theirs = ([side[b].tolist()[n] for n in tokens] for side in (student, teacher))
        total = 0.0
        for own, other in zip(scores(ours, ours, heads), scores(theirs, theirs, heads), strict=True) if tokens else ():
            for s, t in zip(own, other, strict=True):
                logs = zip(log_softmax(t), log_softmax(s), strict=True)
                total += sum(math.exp(p) * (p - q) for p, q in logs)
        values.append(total / (heads * len(tokens)) if tokens else 0.0)
    return values


# --- logits -------------------------------------------------------------------------------------


def prediction(kind, student, teacher, temperature=1.0):
    """Of one vector of logits over the classes."""
    if kind == "mse":
        return token_mse(student, teacher)
    target, log_student = softmax(teacher, temperature), log_softmax(student, temperature)
    value = -sum(p * q for p, q in zip(target, log_student, strict=True))
    if kind == "kl":
        value += sum(p * math.log(p) for p in target if p > 0)
    return temperature**2 * value


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def binary_cross_entropy(logits, targets, without=None, having=None):
    """Of one vector of logits, each of which says yes or no by itself; weighed by whether an example has the label."""
    values = []
    for c, (logit, target) in enumerate(zip(logits, targets, strict=True)):
        p, yes, no = sigmoid(logit), having[c] if having else 1.0, without[c] if without else 1.0
        values.append(-yes * target * math.log(p) - no * (1 - target) * math.log(1 - p))
    return mean(values)


def binary_prediction(kind, student, teacher, temperature=1.0):
    """The same where each logit says yes or no by itself."""
    if kind == "mse":
        return token_mse(student, teacher)
    target = [sigmoid(value / temperature) for value in teacher]
    value = binary_cross_entropy([value / temperature for value in student], target)
    if kind == "kl":
        value -= binary_cross_entropy([value / temperature for value in teacher], target)
    return temperature**2 * value


def prediction_of_task(task, kind, student, teacher, mask, labels, temperature=1.0):
    """Mean over what the task counts: examples, or labelled tokens."""
    student, teacher = student.tolist(), teacher.tolist()
    if task in ("classification", "regression", "multi_label"):
        one = binary_prediction if task == "multi_label" else prediction
        return mean(one(kind, s, t, temperature) for s, t in zip(student, teacher, strict=True))
    mask, labels = mask.tolist(), labels.tolist()
    values = []
    for b in range(len(student)):
        if task == "tagging":
            places = [n for n in range(len(mask[b])) if mask[b][n] and labels[b][n] != -100]
            values += [prediction(kind, student[b][n], teacher[b][n], temperature) for n in places]
        else:
            places = [n for n in range(len(mask[b])) if mask[b][n]]
            ends = [
                prediction(kind, [student[b][n][e] for n in places], [teacher[b][n][e] for n in places], temperature)
                for e in (0, 1)
            ]
            values.append(mean(ends))
    return mean(values)


def weighted_hard_label_of_task(task, logits, targets, weights):
    """Of each example: −Σ_c w_c · y_c · log q_c of classes, of labels each with a weight of no and one of yes."""
    values = []
    for logit, target in zip(logits.tolist(), targets.tolist(), strict=True):
        if task == "multi_label":
            values.append(binary_cross_entropy(logit, target, *weights.tolist()))
        else:
            shares = target if isinstance(target, list) else [float(c == target) for c in range(len(logit))]
            parts = zip(weights.tolist(), shares, log_softmax(logit), strict=True)
            values.append(-sum(weight * share * log_q for weight, share, log_q in parts))
    return values


def hard_label_of_task(task, logits, mask, labels):
    """Mean over what the task counts."""
    logits, mask, labels = logits.tolist(), mask.tolist(), labels.tolist()
    values = []
    for b in range(len(logits)):
        if task == "classification":
            values.append(-log_softmax(logits[b])[labels[b]])
        elif task == "regression":
            values.append((logits[b][0] - labels[b]) ** 2)
        elif task == "multi_label":
            values.append(binary_cross_entropy(logits[b], labels[b]))
        elif task == "tagging":
            places = [n for n in range(len(mask[b])) if labels[b][n] != -100]
            values += [-log_softmax(logits[b][n])[labels[b][n]] for n in places]
        else:
            places = [n for n in range(len(mask[b])) if mask[b][n]]
            ends = [-log_softmax([logits[b][n][e] for n in places])[places.index(labels[b][e])] for e in (0, 1)]
            values.append(mean(ends))
    return mean(values)


def mixed_hard_label_of_task(task, logits, mask, targets):
    """Of each example, or of tagging each token, in one list; None where it does not count."""

    def one(logits, target):
        return -sum(p * q for p, q in zip(target, log_softmax(logits), strict=True)) if sum(target) > 0 else None

    logits, mask, targets = logits.tolist(), mask.tolist(), targets.tolist()
    if task == "classification":
        return [one(*pair) for pair in zip(logits, targets, strict=True)]
    if task == "tagging":
        return [one(*pair) for both in zip(logits, targets, strict=True) for pair in zip(*both, strict=True)]
    values = []
    for b in range(len(logits)):
        places = [n for n in range(len(mask[b])) if mask[b][n]]
        ends = [one([logits[b][n][e] for n in places], [targets[b][e][n] for n in places]) for e in (0, 1) if places]
        values.append(mean(ends) if ends else None)
    return values


# --- mutual information ---------------------------------------------------------------------------


def interpolated_bound(scores, log_baseline, alpha):
    """Poole's bound with the exponentials written out: only for scores of moderate size."""
    scores, log_baseline = scores.tolist(), log_baseline.tolist()
    count = len(scores)
    joint, marginal = [], []
    for b in range(count):
        q = math.exp(log_baseline[b])
        all_rows = mean(math.exp(scores[a][b]) for a in range(count))
        joint.append(scores[b][b] - math.log(alpha * all_rows + (1 - alpha) * q))
        others = [math.exp(scores[a][b]) for a in range(count) if a != b]
        marginal.append(mean(e / (alpha * mean(others) + (1 - alpha) * q) for e in others))
    return 1 + mean(joint) - mean(marginal)


# --- layers -----------------------------------------------------------------------------------------


def pairs(kind, student_layers, teacher_layers):
    """Student layer → teacher layer, both from 1."""
    found = []
    for i in range(1, student_layers + 1):
        for j in range(1, teacher_layers + 1):
            wanted = {
                "skip": j == i * (teacher_layers // student_layers),
                "last": j == i + teacher_layers - student_layers,
                "emd": True,
            }
            if wanted[kind]:
                found.append((i, j))
    return found


def transport(cost, student_weights, teacher_weights):
    """The cheapest flow with these marginals, by linear programming."""
    rows, columns = len(student_weights), len(teacher_weights)
    row_sums = [[float(i == k) for i in range(rows) for _ in range(columns)] for k in range(rows)]
    column_sums = [[float(j == k) for _ in range(rows) for j in range(columns)] for k in range(columns)]
    flat = [float(cost[i][j]) for i in range(rows) for j in range(columns)]
    marginals = [*student_weights, *teacher_weights]
    solution = linprog(flat, A_eq=row_sums + column_sums, b_eq=marginals, bounds=(0, None), method="highs")
    assert solution.success
    return np.asarray(solution.x).reshape(rows, columns)


def cost_attention(cost, flow, student_weights, teacher_weights, temperature):
    """BERT-EMD's next layer weights, of the student and of the teacher."""
    rows, columns = len(student_weights), len(teacher_weights)
    moved = [[flow[i][j] * cost[i][j] for j in range(columns)] for i in range(rows)]
    of_student = [sum(moved[i]) / student_weights[i] for i in range(rows)]
    of_teacher = [sum(moved[i][j] for i in range(rows)) / teacher_weights[j] for j in range(columns)]
    return tuple(softmax([sum(costs) / c for c in costs], temperature) for costs in (of_student, of_teacher))


def align(values, alignment):
    """Each student token takes the weighted sum of the teacher's tokens."""
    aligned = np.zeros((len(alignment), len(alignment[0]), values.shape[-1]))
    for b, matrix in enumerate(alignment.tolist()):
        for n, row in enumerate(matrix):
            for m, weight in enumerate(row):
                aligned[b, n] += weight * values[b, m].double().numpy()
    return aligned
