# A bucket, and a user who may do what is needed in it and nothing else. All of it may be repeated.
set -euo pipefail

bucket() { # NAME USER PASSWORD OBJECTS
	mc mb --ignore-existing "store/$1"
	# Passwords come by standard input, where no list of processes shows them.
	printf '%s\n%s\n' "$2" "$3" | mc admin user add store
	cat >"/tmp/$1.json" <<-POLICY
		{
		  "Version": "2012-10-17",
		  "Statement": [
		    {
		      "Effect": "Allow",
		      "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
		      "Resource": ["arn:aws:s3:::$1/$4"]
		    },
		    {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation"], "Resource": ["arn:aws:s3:::$1"]}
		  ]
		}
	POLICY
	mc admin policy create store "$1" "/tmp/$1.json"
	attached=$(mc admin policy entities store --user "$2")
	case $attached in
	*"$1"*) ;;
	*) mc admin policy attach store "$1" --user "$2" ;;
	esac
}

case $MINIO_ENDPOINT in
*://*) server=$MINIO_ENDPOINT ;;
*) server=http://$MINIO_ENDPOINT ;;
esac
printf '%s\n%s\n' "$ROOT_USER" "$ROOT_PASSWORD" | mc alias set store "$server"
bucket facteur "$ARTIFACTS_USER" "$ARTIFACTS_PASSWORD" 'tasks/*'
if [ -n "${BACKUPS_USER:-}" ]; then
	bucket facteur-backups "$BACKUPS_USER" "$BACKUPS_PASSWORD" '*'
fi
