<?php
// Answers GET /my/call-token with a token for the person who is signed in. PHP 8, nothing to install.
//
//   JWT_SECRET=… php -S 127.0.0.1:3000 server.php

function call_token(array $person): string {
    $claims = [
        'sub' => $person['id'], // A text, the same each time.
        'extension_ids' => [$person['extension']], // Or 'role' => 'admin', who sees every call.
        'exp' => time() + 600, // In seconds, not milliseconds.
    ];
    $part = fn(string $data) => rtrim(strtr(base64_encode($data), '+/', '-_'), '=');
    $signed = $part(json_encode(['alg' => 'HS256', 'typ' => 'JWT'])) . '.' . $part(json_encode($claims));
    return $signed . '.' . $part(hash_hmac('sha256', $signed, getenv('JWT_SECRET'), true)); // The service's JWT_SECRET.
}

// Whoever your session says; answer 401 where nobody is signed in.
$person = $_SERVER['REQUEST_URI'] === '/my/call-token' ? ['id' => 'dana', 'extension' => '101'] : null;
if ($person === null) {
    http_response_code(404);
    exit;
}
header('Content-Type: text/plain');
header('Cache-Control: no-store');
echo call_token($person);
